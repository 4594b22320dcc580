#include "schema_rules.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace skerry::agent::schema {
namespace {

struct SharedRule {
  std::string_view name;
  std::string_view body;
  std::array<std::string_view, 6> needs;
};

// White space is bounded, so that a model cannot go on with it for ever; numbers are as long as a
// double is exact. Escapes never make half a surrogate pair, which is no text.
constexpr std::array<SharedRule, 17> kShared{{
    {"ws", R"gbnf(( " " | "\n" [ \t]{0,20} )?)gbnf", {}},
    {"hex", "[0-9a-fA-F]", {}},
    {"plain", R"gbnf([^"\\\x7f\x00-\x1f])gbnf", {}},
    {"char",
     R"gbnf(plain | "\\" ( ["\\/bfnrt] | "u" ( [0-9a-cA-CeEfF] hex{3} | [dD] [0-7] hex{2} ) ))gbnf",
     {"plain", "hex"}},
    {"string", R"gbnf("\"" char* "\"")gbnf", {"char"}},
    {"integer", R"gbnf("-"? ( "0" | [1-9] [0-9]{0,15} ))gbnf", {}},
    {"natural", R"gbnf("0" | [1-9] [0-9]{0,15})gbnf", {}},
    {"positive", "[1-9] [0-9]{0,15}", {}},
    {"number", R"gbnf(integer ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,2} )?)gbnf", {"integer"}},
    {"boolean", R"gbnf("true" | "false")gbnf", {}},
    {"null", R"gbnf("null")gbnf", {}},
    {"value",
     "object | array | string | number | boolean | null",
     {"object", "array", "string", "number", "boolean", "null"}},
    {"object",
     R"gbnf("{" ws ( string ws ":" ws value ws ( "," ws string ws ":" ws value ws )* )? "}")gbnf",
     {"ws", "string", "value"}},
    {"array", R"gbnf("[" ws ( value ws ( "," ws value ws )* )? "]")gbnf", {"ws", "value"}},
    {"date",
     R"gbnf([0-9]{4} "-" ( ( "0" [13578] | "1" [02] ) "-" ( "0" [1-9] | [12] [0-9] | "3" [01] ) | ( "0" [469] | "11" ) "-" ( "0" [1-9] | [12] [0-9] | "30" ) | "02-" ( "0" [1-9] | "1" [0-9] | "2" [0-8] ) ))gbnf",
     {}},
    {"time",
     R"gbnf(( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ":" [0-5] [0-9] ( "." [0-9]{1,9} )? ( "Z" | [-+] ( [01] [0-9] | "2" [0-3] ) ":" [0-5] [0-9] ))gbnf",
     {}},
    {"uuid", R"gbnf(hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12})gbnf", {"hex"}},
}};

std::size_t utf8_length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
}

}  // namespace

std::string Rules::reserve() {
  rules_.emplace_back();
  return "r" + std::to_string(rules_.size() - 1);
}

void Rules::set(const std::string& name, std::string body) {
  bytes_ += name.size() + body.size() + 6;
  rules_[std::stoul(name.substr(1))] = std::move(body);
}

std::string Rules::add(const std::string& body) {
  std::string name = reserve();
  set(name, body);
  return name;
}

std::string Rules::shared(std::string_view name) {
  if (shared_.emplace(name).second) {
    for (const SharedRule& rule : kShared) {
      if (rule.name == name) {
        for (const std::string_view need : rule.needs) {
          if (!need.empty()) {
            shared(need);
          }
        }
      }
    }
  }
  return std::string{name};
}

std::string Rules::grammar(const std::string& root) const {
  std::string out = "root ::= " + root + "\n";
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    out += "r" + std::to_string(i) + " ::= " + rules_[i] + "\n";
  }
  for (const SharedRule& rule : kShared) {
    if (shared_.contains(rule.name)) {
      out += std::string{rule.name} + " ::= " + std::string{rule.body} + "\n";
    }
  }
  return out;
}

// Names by their beginnings.
struct Rules::Letter {
  std::map<std::string, std::unique_ptr<Letter>> next;
  bool ends = false;
};

std::string Rules::other_letters(const Letter& letter) {
  shared("plain");
  std::string body;
  std::string others = R"([^"\\\x7f\x00-\x1f)";
  for (const auto& [text, next] : letter.next) {
    body += quoted(text) + " " + other_letters(*next) + " | ";
    others += text == "]" || text == "[" ? "\\" + text
              : text == "^"              ? "\\x5e"
              : text == "-"              ? "\\x2d"
                                         : text;
  }
  body += others + "] plain*";
  return add(letter.ends ? body : body + " | \"\"");
}

std::string Rules::other_key(const std::vector<std::string>& names) {
  Letter first;
  for (const std::string& name : names) {
    // What needs an escape is not written without one.
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte > 0x1f && byte != 0x7f && c != '"' && c != '\\';
    });
    if (!plain) {
      continue;
    }
    Letter* at = &first;
    for (std::size_t i = 0; i < name.size();) {
      const std::string text = name.substr(i, utf8_length(name[i]));
      i += text.size();
      std::unique_ptr<Letter>& next = at->next[text];
      if (!next) {
        next = std::make_unique<Letter>();
      }
      at = next.get();
    }
    at->ends = true;
  }
  return add("\"\\\"\" " + other_letters(first) + " \"\\\"\"");
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      out += {'\\', 'x', kDigits[byte >> 4U], kDigits[byte & 0xfU]};
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string times(std::size_t least, std::size_t most) {
  if (most == kNoMost) {
    return least == 0 ? "*" : "{" + std::to_string(least) + ",}";
  }
  return "{" + std::to_string(least) + "," + std::to_string(most) + "}";
}

}  // namespace skerry::agent::schema
