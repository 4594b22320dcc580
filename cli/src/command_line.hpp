#pragma once

// The command line's grammar as the commands see it: a tree of `Command`s with options bound to
// plain variables. command_line.cpp puts CLI11 behind it, so that its templates are compiled once
// and not in every command's file.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace skerry::cli {

class Option {
 public:
  virtual ~Option() = default;
  virtual Option* required() = 0;
  // Help shows the variable's present value.
  virtual Option* show_default() = 0;
  virtual Option* one_of(std::initializer_list<std::string> values) = 0;
  // Taken from this environment variable where it is not given.
  virtual Option* environment(const std::string& name) = 0;
  // Each use takes one value, so that a positional argument may follow.
  virtual Option* one_each() = 0;
  // "1,2,3" is three values.
  virtual Option* separated_by(char delimiter) = 0;
};

// Names are "--long", "-s,--long" or, for positional arguments, "name". Variables outlive the
// parser. The returned pointers belong to the tree.
class Command {
 public:
  virtual ~Command() = default;
  virtual Command* add_subcommand(const std::string& name, const std::string& help) = 0;
  virtual Option* add_flag(const std::string& name, bool& value, const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::string& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::uint32_t& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::uint64_t& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::int64_t& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name, double& value, const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::optional<float>& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::optional<std::uint64_t>& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::optional<std::string>& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::vector<std::string>& value,
                             const std::string& help) = 0;
  virtual Option* add_option(const std::string& name,
                             std::vector<std::int64_t>& value,
                             const std::string& help) = 0;
  // Between `least` and `most` subcommands must be given; one by default where it is called.
  virtual void require_subcommand(std::size_t least = 1, std::size_t most = 1) = 0;
  // Called when this command was given and none of its subcommands.
  virtual void on_chosen(std::function<void()> action) = 0;
};

// What parsing came to: go on, or end with this exit code after printing the text.
struct ParseOutcome {
  bool proceed = false;
  int exit_code = 0;
  std::string out;
  std::string err;
};

class CommandLine {
 public:
  static std::unique_ptr<CommandLine> make(const std::string& name,
                                           const std::string& description,
                                           const std::string& version);
  virtual ~CommandLine() = default;
  virtual Command& root() = 0;
  // Sets the variables and calls the chosen command. Wrong arguments give exit code 2.
  virtual ParseOutcome parse(const std::vector<std::string>& arguments) = 0;
};

}  // namespace skerry::cli
