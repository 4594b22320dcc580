// A model's answer with thoughts and calls of tools; its first byte chooses the family. It reads
// the same in one piece and byte by byte, and calls have names that were offered.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/agent/chat_reader.hpp"

namespace {

using skerry::agent::AnswerPart;
using skerry::agent::ChatReader;

std::string read_in(std::size_t size, std::string_view answer, unsigned how) {
  constexpr std::array<std::string_view, 6> kSyntaxes{
      "", "hermes", "llama", "mistral", "list", "deepseek"};
  static constexpr std::array<std::string_view, 3> kNames{"f", "g", "get_weather"};
  ChatReader::Options options;
  options.thinks = (how & 8U) != 0;
  options.thinking = (how & 24U) == 24U;
  options.syntax = skerry::agent::call_syntax(kSyntaxes[how % 8U % kSyntaxes.size()]);
  options.called = (how & 32U) != 0;
  options.names.assign(kNames.begin(), kNames.end());
  options.make_id = [] { return std::string{"id"}; };
  ChatReader reader(std::move(options));
  std::string out;
  const auto add = [&out](const std::vector<AnswerPart>& parts) {
    for (const AnswerPart& part : parts) {
      if (part.kind == AnswerPart::Kind::kCall &&
          std::find(kNames.begin(), kNames.end(), part.name) == kNames.end()) {
        __builtin_trap();
      }
      // Which piece a byte came in is no part of what is said.
      for (const char c : part.text) {
        out += static_cast<char>('0' + static_cast<int>(part.kind));
        out += c;
      }
      out += part.name;
    }
  };
  for (std::size_t at = 0; at < answer.size(); at += size) {
    add(reader.push(answer.substr(at, size)));
  }
  add(reader.finish());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const std::string_view answer{reinterpret_cast<const char*>(data) + 1, size - 1};
  if (read_in(answer.size(), answer, data[0]) != read_in(1, answer, data[0])) {
    __builtin_trap();
  }
  return 0;
}
