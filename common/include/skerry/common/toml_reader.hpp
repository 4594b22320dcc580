#pragma once

// Reads a TOML configuration file into plain structs, strictly: a key that nobody asked for is an
// error that names its line and the nearest known key, and so is a value of the wrong type or out
// of range. The daemons' `load_config` functions use it:
//
//   auto reader = TomlReader::load(fs, path);
//   auto server = reader->table("server");
//   server.read("listen", config.listen);          // absent: keeps the default
//   server.read("grace", config.grace);            // "30s"
//   if (auto done = reader->finish(); !done) return done.error();
//
// Errors are collected while reading, so the calls need no checks; `finish` returns the first one
// in file order. Input limits: 1 MiB, valid UTF-8, 256 nested values (toml++'s own limit). Not
// thread-safe; tables must not outlive their reader.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry {

// An amount of bytes, written as 1048576, "512KiB", "64 MiB", "2GiB", "10MB".
struct ByteSize {
  std::uint64_t bytes = 0;
  friend bool operator==(const ByteSize&, const ByteSize&) = default;
};

// "500ms", "30s", "10m", "12h", "7d"; kParse otherwise or beyond 100 years.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
// "4096", "512KiB", "64 MiB", "2GiB", "10MB"; kParse otherwise or beyond 2^63-1.
Result<ByteSize> parse_byte_size(std::string_view text);

// The nearest of `known` to `word` by edit distance, or empty if none is near enough to be a slip.
std::string_view nearest_name(std::string_view word, const std::vector<std::string>& known);

class TomlTable {
 public:
  // False for an absent table: all reads keep their defaults.
  [[nodiscard]] bool present() const;
  [[nodiscard]] bool has(std::string_view key) const;

  // Each marks `key` as known and, if it is there, replaces `out`.
  void read(std::string_view key, std::string& out);
  void read(std::string_view key, bool& out);
  void read(std::string_view key, double& out);
  void read(std::string_view key, std::vector<std::string>& out);
  // A string with a unit (`parse_duration`).
  void read(std::string_view key, std::chrono::milliseconds& out);
  // A whole number of bytes or a string with a unit.
  void read(std::string_view key, ByteSize& out);
  void read_int(std::string_view key, std::int64_t& out, std::int64_t min, std::int64_t max);
  template <class Integer>
  void read_int(std::string_view key, Integer& out, std::int64_t min, std::int64_t max) {
    auto value = static_cast<std::int64_t>(out);
    read_int(key, value, min, max);
    out = static_cast<Integer>(value);
  }

  // A table inside this one: [outer.inner].
  TomlTable table(std::string_view key);
  // The elements of an array of tables: [[listener]].
  std::vector<TomlTable> tables(std::string_view key);
  // Keys present in this table, for maps whose keys are data; marks them all as known.
  std::vector<std::string> keys();

  // Records an error about the value of `key`, with its file and line.
  void fail(std::string_view key, std::string_view message);
  // "skerryd.toml:12", the place of `key` or of the table; the file alone if it is absent.
  [[nodiscard]] std::string where(std::string_view key) const;

 private:
  friend class TomlReader;
  struct Node;
  explicit TomlTable(std::shared_ptr<Node> node);
  std::shared_ptr<Node> node_;
};

class TomlReader {
 public:
  // `name` is what errors call the file. kConfigInvalid with line and column for malformed text.
  static Result<TomlReader> parse(std::string_view text, std::string name);
  // Reads at most 1 MiB from `path`.
  static Result<TomlReader> load(FileSystem& fs, const std::filesystem::path& path);

  TomlReader(TomlReader&&) noexcept;
  TomlReader& operator=(TomlReader&&) noexcept;
  ~TomlReader();

  TomlTable root();
  TomlTable table(std::string_view key) { return root().table(key); }

  // kConfigInvalid: the first recorded error or the first unknown key, by line.
  Result<void> finish();

 private:
  friend class TomlTable;
  struct Impl;
  explicit TomlReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry
