#pragma once

// What a command prints to and reads from: answers on standard output (tables for people, JSON with
// --json), everything else on standard error. Tests give it string streams. Commands hold it
// through `Invocation` (src/invocation.hpp).

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/json.hpp"

namespace skerry::cli {

struct Streams {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  // Standard error is a terminal: progress bars are drawn.
  bool interactive = false;
  // Standard input, and standard output, is a terminal.
  bool in_terminal = false;
  bool out_terminal = false;
  // Standard input is a pipe or a file, so that somebody gave text.
  bool in_piped = false;
};

// Columns as wide as their widest cell; the header in capitals. Cells are cleaned of control
// characters, since names come from other machines.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const;
  // The same as a Markdown table, for model cards.
  [[nodiscard]] std::string markdown() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

class Console {
 public:
  explicit Console(Streams streams) : streams_(streams) {}

  void print(std::string_view text);  // as it is, to standard output
  void line(std::string_view text);   // with a line feed
  void note(std::string_view text);   // a line to standard error
  void print_json(const Json& json);  // indented
  [[nodiscard]] std::istream& in() { return streams_.in; }
  [[nodiscard]] bool in_terminal() const { return streams_.in_terminal; }
  [[nodiscard]] bool out_terminal() const { return streams_.out_terminal; }
  [[nodiscard]] bool in_piped() const { return streams_.in_piped; }
  void flush();

  // Draws "label [#####     ] 42 %  3.1 MiB / 7.4 MiB" in place; nothing where standard error is no
  // terminal. `finish_progress` ends the line.
  void progress(std::string_view label, std::uint64_t done, std::uint64_t total);
  void finish_progress();

 private:
  Streams streams_;
  int last_percent_ = -1;
  bool drawing_ = false;
};

// "7.4 MiB"
std::string human_bytes(std::uint64_t bytes);
// "2026-11-22 19:18:27 UTC"; "-" for 0.
std::string human_time(std::uint64_t unix_ms);
// At most `length` characters of a digest or id, without "sha256:".
std::string short_digest(std::string_view digest, std::size_t length = 12);
// Without control characters, so that text from elsewhere cannot drive a terminal.
std::string printable(std::string_view text);

}  // namespace skerry::cli
