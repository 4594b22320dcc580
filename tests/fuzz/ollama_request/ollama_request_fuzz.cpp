// Bodies of Ollama's POST /api/generate, chat, embed, embeddings, show and pull.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "skerry/agent/ollama.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace ollama = skerry::agent::ollama;
  constexpr std::size_t kMost = 1U << 20U;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  auto request = ollama::parse_generate(text, kMost);
  if (!request) {
    ollama::error_line(request.error());
  } else {
    ollama::make_generate_dialect({})->delta(0, request->text.model);
  }
  if (auto chat = ollama::parse_chat(text, kMost); chat) {
    ollama::make_chat_dialect({})->delta(0, chat->text.model);
  }
  for (const bool legacy : {false, true}) {
    if (auto embed = ollama::parse_embed(text, kMost, legacy); !embed) {
      ollama::error_line(embed.error());
    }
  }
  if (auto name = ollama::parse_name(text, kMost); !name) {
    ollama::error_line(name.error());
  }
  return 0;
}
