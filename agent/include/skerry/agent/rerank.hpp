#pragma once

// Reranking without HTTP, in the shape that Jina, Cohere and vLLM share: reads request bodies,
// writes answers. Used by the HTTP and gRPC front ends; a fuzz target feeds the parser.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::agent::rerank {

struct Request {
  std::string model;
  std::string query;
  std::vector<std::string> documents;  // 1 to 1024
  std::size_t top_n = 0;               // how many are told; all if there are no more
  bool return_documents = true;
};

// kParse for a body that is not JSON, kInvalidArgument "<parameter>: <problem>" for one that is not
// a request. What would cut documents is refused by name, unknown members are ignored.
Result<Request> parse(std::string_view body, std::size_t max_bytes);

// Places of the `most` largest values, largest first, earlier ones first of equals.
std::vector<std::size_t> best_first(std::span<const float> relevances, std::size_t most);

struct Answer {
  std::string id;
  std::string model;
  std::vector<float> relevances;  // of each document
  std::uint32_t prompt_tokens = 0;
};
std::string answer_body(const Request& request, const Answer& answer);

}  // namespace skerry::agent::rerank
