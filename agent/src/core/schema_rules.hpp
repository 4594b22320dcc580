#pragma once

// Rules of a grammar as they are collected, and the parts of JSON that every schema's grammar
// shares. Private to json_schema.cpp.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::agent::schema {

class Rules {
 public:
  // Adds a rule "r<n>" and returns its name.
  std::string add(const std::string& body);
  // A name for a rule that is given its body later, by `set`: rules that need themselves.
  std::string reserve();
  void set(const std::string& name, std::string body);

  // Names of shared rules; each is in the grammar once it was asked for.
  std::string shared(std::string_view name);

  // A JSON string whose text is none of `names`, written without escapes.
  std::string other_key(const std::vector<std::string>& names);

  [[nodiscard]] std::size_t count() const { return rules_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // The whole grammar, which begins with `root`.
  [[nodiscard]] std::string grammar(const std::string& root) const;

 private:
  struct Letter;
  std::string other_letters(const Letter& letter);

  std::vector<std::string> rules_;
  std::set<std::string, std::less<>> shared_;
  std::size_t bytes_ = 0;
};

// "text" as GBNF has it.
std::string quoted(std::string_view text);
// "{m,n}"; no upper bound if `most` is none.
std::string times(std::size_t least, std::size_t most);
inline constexpr std::size_t kNoMost = static_cast<std::size_t>(-1);

}  // namespace skerry::agent::schema
