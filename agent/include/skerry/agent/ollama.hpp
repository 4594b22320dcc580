#pragma once

// Ollama's API without HTTP: reads request bodies, writes answers as JSON and as lines of JSON.
// Used by the HTTP front end; a fuzz target feeds the parsers. What the npm client `ollama` checks
// is listed in docs/http.md.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/text_request.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::ollama {

struct OllamaText {
  // No prompt (generate) or no message (chat): the model is to be loaded or unloaded.
  TextRequest text;
  bool empty = false;
  // keep_alive is 0: the model is to leave the memory, after the answer if there is one.
  bool unload = false;
};

// As for OpenAI: what would change the answer and is not offered (tools, images, suffix,
// template, context, thinking, mirostat …) is refused by name; options about threads and batches
// are the daemon's own affair and ignored. `stream` is on unless it is switched off.
Result<OllamaText> parse_generate(std::string_view body, std::size_t max_bytes);
Result<OllamaText> parse_chat(std::string_view body, std::size_t max_bytes);

struct OllamaEmbed {
  std::string model;
  std::vector<std::string> inputs;
  bool unload = false;
};
// /api/embed; `legacy`: /api/embeddings, which takes one prompt.
Result<OllamaEmbed> parse_embed(std::string_view body, std::size_t max_bytes, bool legacy);

// "model", or "name" of older clients, and "stream": show, pull, delete and the like.
struct OllamaName {
  std::string model;
  bool stream = true;
};
Result<OllamaName> parse_name(std::string_view body, std::size_t max_bytes);

// Ollama's ":latest" is no version here.
std::string reference_of(std::string_view name);

// Lines of JSON; the last has done, done_reason and the durations in nanoseconds.
std::unique_ptr<TextDialect> make_generate_dialect(WallTime now);
std::unique_ptr<TextDialect> make_chat_dialect(WallTime now);
// The only line of a call that loads ("load") or unloads ("unload").
std::string loaded_line(std::string_view model, WallTime now, bool chat, std::string_view reason);

std::string embed_body(const std::string& model,
                       const std::vector<std::vector<float>>& vectors,
                       std::uint32_t prompt_tokens,
                       std::chrono::nanoseconds total);
std::string legacy_embed_body(const std::vector<float>& vector);

// A model as tags, ps and show tell it.
struct OllamaModel {
  // "acme/log-triage:1.2.0"
  std::string name;
  WallTime modified{};
  std::uint64_t size = 0;
  // Of the manifest, "sha256:…".
  std::string digest;
  std::string format;
  std::string family;
  std::string quantization;
  // ps: when it leaves the memory if nobody asks; none: it stays.
  std::optional<WallTime> expires;
  std::uint32_t context_length = 0;
  std::vector<std::string> capabilities;
  std::string license;
};
std::string tags_body(const std::vector<OllamaModel>& models);
std::string ps_body(const std::vector<OllamaModel>& models);
std::string show_body(const OllamaModel& model);
std::string version_body(std::string_view version);

// A line of progress: {"status"}, with the bytes of a file if `total` is not 0.
std::string progress_line(std::string_view status,
                          std::string_view digest,
                          std::uint64_t total,
                          std::uint64_t completed);
std::string error_line(const Error& error);

inline constexpr std::string_view kLines = "application/x-ndjson";

}  // namespace skerry::agent::ollama
