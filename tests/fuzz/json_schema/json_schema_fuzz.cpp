// A JSON schema: whatever it is, it is refused or becomes a grammar that is one.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/agent/json_schema.hpp"
#include "skerry/runtime/grammar.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto grammar = skerry::agent::schema_grammar(
      text, "schema", {.bytes = 16'384, .rules = 400, .grammar_bytes = 65'536, .repeats = 100});
  if (!grammar) {
    return 0;
  }
  // Two things are told only here: a schema that holds itself without an end, and size.
  const auto parsed = skerry::runtime::Grammar::parse(*grammar);
  if (!parsed && parsed.error().message().find("begins with itself") == std::string::npos &&
      parsed.error().message().find("too large") == std::string::npos) {
    __builtin_trap();
  }
  return 0;
}
