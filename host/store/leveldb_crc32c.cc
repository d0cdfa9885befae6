// LevelDB's checksum by the processor's own instruction.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <isa-l/crc.h>

// Each record of a journal and each block of a table carries CRC-32C. Debian builds LevelDB without
// the library that computes it by SSE 4.2, so it goes byte by byte through tables: a sixth of what
// a disk thread does for a put. LevelDB is linked from its archive (see CMakeLists.txt), whose
// other objects find this function instead of that one. It gives the same value for the same bytes;
// were both in, the link would fail.
namespace leveldb::crc32c {

// `init_crc` continues that of the bytes before; 0 begins.
uint32_t Extend(uint32_t init_crc, const char* data, size_t n) {
  constexpr size_t kPieceMax = size_t{1} << 30;  // ISA-L counts in an int
  uint32_t crc = ~init_crc;
  while (n != 0) {
    size_t piece = std::min(n, kPieceMax);
    // The parameter is not const, and nothing is written there.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(data));
    crc = crc32_iscsi(bytes, static_cast<int>(piece), crc);
    data += piece;
    n -= piece;
  }
  return ~crc;
}

}  // namespace leveldb::crc32c
