// Inference's calls that are answered with a vector for each text.

#include <iterator>
#include <utility>

#include "skerry/agent/inference.hpp"

namespace skerry::agent {

Task<Result<Inference::EmbedAnswer>> Inference::embed(Caller caller,
                                                      CallOptions call,
                                                      std::vector<EmbedInput> inputs) {
  return embed_as(
      "inference.embed", std::move(caller), std::move(call), std::move(inputs), std::nullopt);
}

Task<Result<Inference::RerankAnswer>> Inference::rerank(Caller caller,
                                                        CallOptions call,
                                                        std::string query,
                                                        std::vector<std::string> documents) {
  std::vector<EmbedInput> inputs{std::make_move_iterator(documents.begin()),
                                 std::make_move_iterator(documents.end())};
  Result<EmbedAnswer> found = co_await embed_as(
      "inference.rerank", std::move(caller), std::move(call), std::move(inputs), std::move(query));
  if (!found) {
    co_return found.error();
  }
  RerankAnswer answer;
  for (const std::vector<float>& vector : found->embeddings.vectors) {
    answer.relevances.push_back(vector.empty() ? 0.0F : vector[0]);
  }
  answer.usage = found->usage;
  answer.model = std::move(found->model);
  co_return answer;
}

}  // namespace skerry::agent
