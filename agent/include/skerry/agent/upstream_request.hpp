#pragma once

// Turns a request of this gateway into the body that one kind of server understands. Plain
// functions: the caller sends what they return.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/upstream_quirks.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/upstream_spec.hpp"
#include "skerry/runtime/request.hpp"

namespace skerry::agent::upstream {

struct Body {
  // Below the server's base URL: "chat/completions".
  std::string path;
  std::string json;
};

// kUnimplemented if a server of this kind cannot answer it as asked: another may. What merely
// tunes the sampling and is unknown to the server is left out.
Result<void> can_answer(const Quirks& quirks, const runtime::Request& request);

// kUnimplemented if the model does not offer this kind of request, kContextTooLong if the prompt
// is sure not to fit; no server is asked.
Result<void> check_against(const Spec& spec, const runtime::Request& request);

// For a request that both functions above let pass. `salt` separates the prefix cache of
// principals where the server has one.
Body render(const Quirks& quirks,
            const Spec& spec,
            std::string_view model,
            std::string_view salt,
            const runtime::GenerateRequest& request);
Body render(std::string_view model, const runtime::EmbedRequest& request);

// Bytes of everything that the model will read.
std::size_t prompt_bytes(const runtime::Request& request);

// What a prompt of so many bytes counts as where the server does not say: four bytes a token.
std::uint32_t estimated_tokens(std::size_t bytes);

// On a server that cuts prompts without a word: kContextTooLong for a prompt that probably does
// not fit `context_length` (three bytes a token), which the server would not tell.
Result<void> check_uncut(const Quirks& quirks, const Spec& spec, const runtime::Request& request);

}  // namespace skerry::agent::upstream
