// Tables for people.
#include "admin/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <unistd.h>

namespace flotilla::admin {
namespace {

// Columns that a text takes: its characters, not its bytes.
size_t widthOf(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string rounded(double value, const char* unit) {
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), value < 10 ? "%.1f %s" : "%.0f %s", value, unit);
  return out.data();
}

}  // namespace

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], widthOf(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - widthOf(row[i]) + 2, ' ');
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

void Table::print() const {
  std::fputs(text().c_str(), stdout);
}

std::string orDash(uint64_t value) {
  return value == 0 ? "-" : std::to_string(value);
}

std::string orDash(const std::string& value) {
  return value.empty() ? "-" : value;
}

std::string bytesText(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return rounded(value, kUnits[unit]);
}

std::string durationText(uint64_t ms) {
  uint64_t seconds = ms / 1000;
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 120 * 60) return std::to_string(seconds / 60) + " min";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86'400) + " d";
}

Progress::Progress(bool json) : on_(!json && isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  clear();
}

void Progress::say(const std::string& line) {
  if (!on_) return;
  std::fprintf(stderr, "\r\x1b[K%s", line.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (shown_) std::fputs("\r\x1b[K", stderr);
  shown_ = false;
}

}  // namespace flotilla::admin
