// A file of no content that is given up when the disk is full.
#include "host/store/ballast.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/store/files.h"

namespace flotilla::store {

Result<void> Ballast::hold() {
  if (bytes_ == 0) return removeFile(path_);
  auto file = openFile(path_, O_RDWR | O_CREAT);
  if (!file) return file.fault();
  int error = ::posix_fallocate(file->get(), 0, static_cast<off_t>(bytes_));
  if (error == 0) {
    if (::ftruncate(file->get(), static_cast<off_t>(bytes_)) == 0) return {};
    return posixFault(path_, "shorten", errno);
  }
  if (auto removed = removeFile(path_); !removed) return removed;
  return posixFault(path_, "reserve " + std::to_string(bytes_) + " bytes", error);
}

Result<void> Ballast::release() {
  return removeFile(path_);
}

}  // namespace flotilla::store
