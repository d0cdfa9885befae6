// The few POSIX calls that everything on disk here is made of, with texts that name path and
// reason.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "flotilla/result.h"

// Thread: any. Every call may wait for the disk.
// Errors: a Fault: diskFull where there is no space, corrupt where a file is missing or too long,
//         io for the rest. The text is "PATH: what was tried: reason".
namespace flotilla::store {

// The fault for `path` after a call of kind `what` left `errorNumber`.
Fault posixFault(const std::string& path, std::string_view what, int errorNumber);

Result<void> makeDirectories(const std::string& path);  // parents too, each made one synced
Result<void> syncDirectory(const std::string& path);    // its entries survive a power cut
Result<void> removeTree(const std::string& path);       // nothing there is fine; parent synced
Result<void> removeFile(const std::string& path);       // nothing there is fine; parent synced
bool exists(const std::string& path);
std::string parentOf(const std::string& path);

// Renames and syncs the directory, which is the same for both.
Result<void> renameTo(const std::string& from, const std::string& to);
// Replaces `path` whole: writes PATH.part, syncs it, renames it, syncs the directory.
Result<void> writeAside(const std::string& path, std::string_view bytes, unsigned mode = 0644);

// All of a file of at most `bytesMax` bytes. A file that is not there is ErrorCode::corrupt.
Result<std::string> readWhole(const std::string& path, uint64_t bytesMax);

// Names in a directory without "." and "..", sorted; at most kNamesMax, more is a fault.
inline constexpr size_t kNamesMax = 1'000'000;
Result<std::vector<std::string>> listDirectory(const std::string& path);

// What an unprivileged writer may still use on the file system of `path`.
Result<uint64_t> freeBytes(const std::string& path);

// A file descriptor that closes itself.
//
// Thread: one at a time.
// Errors: none of its own.
class FileDescriptor {
public:
  FileDescriptor() = default;
  explicit FileDescriptor(int number) : number_(number) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }

private:
  int number_ = -1;
};

Result<FileDescriptor> openFile(const std::string& path, int flags, unsigned mode = 0644);
Result<void> writeAll(const FileDescriptor& file, const std::string& path, std::string_view bytes);
Result<void> writeAt(const FileDescriptor& file, const std::string& path, std::string_view bytes,
                     uint64_t offset);
// Fills `to` from `offset` on; less than `size` only at the file's end.
Result<size_t> readUpTo(const FileDescriptor& file, const std::string& path, uint64_t offset,
                        char* to, size_t size);
Result<void> syncFile(const FileDescriptor& file, const std::string& path);
// What it holds and how long it is, not when it was changed.
Result<void> syncData(const FileDescriptor& file, const std::string& path);
// Whether nobody else of this machine has it open, and it has just so many names. False as well
// where the file system does not say.
bool isOursAlone(const FileDescriptor& file, uint64_t names);

// A large file's end. A file system that tells its device which blocks are free (ext4 `discard`)
// has every sync of that moment wait for all of them: 512 MiB at once held the log up for 30 to 60
// ms. So the name goes first, and the blocks a piece at a time.
constexpr uint64_t kFreedBytes = 8 << 20;
// Removes the name, syncs the directory, and gives what keeps the blocks; nothing where none was.
Result<FileDescriptor> removeName(const std::string& path);
// Frees them. `pause` is called after each piece; false: all the rest at once. Where somebody still
// reads the file it stays whole, until he closes it.
void freeBlocks(FileDescriptor file, const std::function<bool()>& pause);
// As removeTree, its large files so.
Result<void> removeTree(const std::string& path, const std::function<bool()>& pause);

}  // namespace flotilla::store
