// Tables for people.
#pragma once

#include <string>
#include <vector>

namespace flotilla::admin {

// Rows of text under a heading, in columns as wide as they need to be.
//
// Thread: main's.
// Errors: none.
class Table {
public:
  explicit Table(std::vector<std::string> heading) { rows_.push_back(std::move(heading)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() == 1; }
  std::string text() const;
  void print() const;

private:
  std::vector<std::vector<std::string>> rows_;
};

// 0 as "-", for what is not known.
std::string orDash(uint64_t value);
std::string orDash(const std::string& value);
// 3.4 MiB; 12 h
std::string bytesText(uint64_t bytes);
std::string durationText(uint64_t ms);

// One line on a terminal's stderr that says how far long work has come; nothing elsewhere.
//
// Thread: main's.
// Errors: none.
class Progress {
public:
  explicit Progress(bool json);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void say(const std::string& line);
  void clear();

private:
  bool on_ = false;
  bool shown_ = false;
};

}  // namespace flotilla::admin
