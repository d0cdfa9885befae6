// Reads an object's undefined dynamic symbols, and knows some by name.
#include "host/plugin/imports.h"

#include <algorithm>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <string_view>

namespace flotilla::plugin {
namespace {

struct Forbidden {
  const char* what;
  const char* instead;
  std::vector<std::string_view> symbols;  // one that ends with '*' stands for all that begin so
};

const std::vector<Forbidden>& forbidden() {
  static const std::vector<Forbidden> all{
      {"a clock",
       "entry.timeUs() is the same on every replica",
       {"clock", "clock_gettime", "ftime", "gettimeofday", "time", "timespec_get", "times",
        "_ZNSt6chrono3_V2*"}},
      {"a random device",
       "make numbers from entry.seed(), which is the same on every replica",
       {"arc4random*", "drand48", "erand48", "getentropy", "getrandom", "jrand48", "lrand48",
        "mrand48", "nrand48", "rand", "rand_r", "random", "random_r", "_ZNSt13random_device*",
        "RAND_bytes"}},
      {"a thread",
       "a machine is called by one thread at a time, and threads end in another order elsewhere",
       {"pthread_create", "thrd_create", "_ZNSt6thread*", "clone", "clone3"}},
      {"another process",
       "a machine works from its arguments alone",
       {"execl*", "execv*", "fork", "popen", "posix_spawn*", "system", "vfork"}},
      {"a file",
       "a machine keeps its state in Tables, and each host has files of its own",
       {"creat", "fopen", "fopen64", "mkstemp*", "open", "open64", "openat", "openat64", "opendir",
        "shm_open", "tmpfile*", "_ZNSt13basic_filebuf*", "_ZNSt14basic_ifstream*",
        "_ZNSt14basic_ofstream*", "_ZNSt13basic_fstream*", "_ZNSt10filesystem*"}},
      {"a socket",
       "a machine works from its arguments alone; what the world says comes as a command",
       {"accept*", "bind", "connect", "getaddrinfo", "listen", "socket"}},
      {"the environment",
       "each host has its own; take settings from the group's configuration",
       {"getenv", "gethostname", "getpid", "secure_getenv", "uname"}},
  };
  return all;
}

const Forbidden* judged(std::string_view symbol) {
  for (const Forbidden& one : forbidden()) {
    for (std::string_view name : one.symbols) {
      bool prefix = name.ends_with('*');
      if (prefix ? symbol.starts_with(name.substr(0, name.size() - 1)) : symbol == name) {
        return &one;
      }
    }
  }
  return nullptr;
}

// The file's bytes, and structures read out of them only where they lie within.
//
// Thread: one. Errors: at answers false beyond the end.
class Image {
public:
  explicit Image(std::string bytes) : bytes_(std::move(bytes)) {}

  template <typename T>
  bool at(uint64_t offset, T& out) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof out) return false;
    std::memcpy(&out, bytes_.data() + offset, sizeof out);
    return true;
  }
  // The text that begins there, up to its NUL.
  std::string_view textAt(uint64_t offset, uint64_t limit) const {
    limit = std::min<uint64_t>(limit, bytes_.size());
    if (offset >= limit) return {};
    std::string_view rest(bytes_.data() + offset, limit - offset);
    return rest.substr(0, rest.find('\0'));
  }

private:
  std::string bytes_;
};

Fault damaged() {
  return {ErrorCode::badRequest, "its ELF sections contradict one another; build it again", {}};
}

Result<Elf64_Shdr> sectionOf(const Image& image, const Elf64_Ehdr& head, uint64_t number) {
  Elf64_Shdr section{};
  bool there = number < head.e_shnum &&
               image.at(head.e_shoff + number * uint64_t{head.e_shentsize}, section);
  if (!there) return damaged();
  return section;
}

}  // namespace

Result<std::vector<ForeignImport>> foreignImports(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Image image(std::move(bytes));
  Elf64_Ehdr head{};
  bool elf = image.at(0, head) && std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
             head.e_ident[EI_CLASS] == ELFCLASS64;
  if (!elf) {
    return Fault{ErrorCode::badRequest,
                 "is no 64-bit ELF file; give the shared object that flotilla_add_plugin builds",
                 {}};
  }
  std::vector<ForeignImport> found;
  for (uint64_t number = 0; number < head.e_shnum; ++number) {
    Result<Elf64_Shdr> symbols = sectionOf(image, head, number);
    if (!symbols) return symbols.fault();
    if (symbols->sh_type != SHT_DYNSYM) continue;
    Result<Elf64_Shdr> names = sectionOf(image, head, symbols->sh_link);
    if (!names) return names.fault();
    uint64_t namesLimit = names->sh_offset + names->sh_size;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols->sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol{};
      if (!image.at(symbols->sh_offset + at, symbol)) return damaged();
      if (symbol.st_shndx != SHN_UNDEF) continue;
      std::string name(image.textAt(names->sh_offset + symbol.st_name, namesLimit));
      const Forbidden* why = judged(name);
      if (why == nullptr) continue;
      found.push_back(
          {name, std::string("uses ") + why->what + " (imports " + name + "); " + why->instead});
    }
  }
  return found;
}

}  // namespace flotilla::plugin
