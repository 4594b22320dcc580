#include "skerry/agent/rerank.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "skerry/agent/text_request.hpp"
#include "skerry/common/json.hpp"

#include "request_fields.hpp"

namespace skerry::agent::rerank {
namespace {

// Nothing is cut silently, and not on request either.
constexpr std::array<std::string_view, 4> kRefused{
    "max_tokens_per_doc", "max_chunks_per_doc", "truncate_prompt_tokens", "rank_fields"};

// A text, or an object that has one: {"text": …}.
const std::string* document_text(const Json& document) {
  if (const Json* text = document.is_object() ? document.find("text") : nullptr) {
    return text->string();
  }
  return document.string();
}

Result<std::vector<std::string>> read_documents(const Json& body) {
  const Json* value = fields::given(body, "documents");
  const Json::Array* list = value == nullptr ? nullptr : value->array();
  if (list == nullptr || list->empty() || list->size() > TextLimits::kTexts) {
    return fields::bad("documents",
                       "must be an array of 1 to " + std::to_string(TextLimits::kTexts) + " texts");
  }
  std::vector<std::string> documents;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string* text = document_text((*list)[i]);
    if (text == nullptr) {
      return fields::bad("documents[" + std::to_string(i) + "]",
                         "must be a string or an object with a member \"text\"");
    }
    documents.push_back(*text);
  }
  return documents;
}

Json::Object result_of(const Request& request, const Answer& answer, std::size_t index) {
  Json::Object result;
  result.emplace("index", Json{static_cast<std::int64_t>(index)});
  result.emplace("relevance_score", Json{static_cast<double>(answer.relevances[index])});
  if (request.return_documents) {
    Json::Object document;
    document.emplace("text", Json{request.documents[index]});
    result.emplace("document", Json{std::move(document)});
  }
  return result;
}

}  // namespace

Result<Request> parse(std::string_view body, std::size_t max_bytes) {
  Result<Json> json = fields::parse_body(body, max_bytes);
  if (!json) {
    return json.error();
  }
  Request request;
  Result<std::string> model = fields::read_model(*json);
  if (!model) {
    return model.error();
  }
  request.model = *std::move(model);
  if (Result<void> done = fields::refuse(*json, kRefused); !done) {
    return done.error();
  }
  if (Result<void> done = fields::read_text(*json, "query", request.query); !done) {
    return done.error();
  }
  if (request.query.empty()) {
    return fields::bad("query", "must be a text that is not empty");
  }
  Result<std::vector<std::string>> documents = read_documents(*json);
  if (!documents) {
    return documents.error();
  }
  request.documents = *std::move(documents);
  const auto count = static_cast<std::int64_t>(request.documents.size());
  std::int64_t top_n = count;
  if (Result<void> done = fields::read_int(*json, "top_n", 1, 1'000'000, top_n); !done) {
    return done.error();
  }
  request.top_n = static_cast<std::size_t>(std::min(top_n, count));
  if (Result<void> done = fields::read_flag(*json, "return_documents", request.return_documents);
      !done) {
    return done.error();
  }
  return request;
}

std::vector<std::size_t> best_first(std::span<const float> relevances, std::size_t most) {
  std::vector<std::size_t> order(relevances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return relevances[a] > relevances[b];
  });
  order.resize(std::min(order.size(), most));
  return order;
}

std::string answer_body(const Request& request, const Answer& answer) {
  Json::Array results;
  for (const std::size_t index : best_first(answer.relevances, request.top_n)) {
    results.emplace_back(result_of(request, answer, index));
  }
  Json::Object usage;
  usage.emplace("prompt_tokens", Json{answer.prompt_tokens});
  usage.emplace("total_tokens", Json{answer.prompt_tokens});
  Json::Object body;
  body.emplace("id", Json{answer.id});
  body.emplace("model", Json{answer.model});
  body.emplace("results", Json{std::move(results)});
  body.emplace("usage", Json{std::move(usage)});
  return Json{std::move(body)}.dump();
}

}  // namespace skerry::agent::rerank
