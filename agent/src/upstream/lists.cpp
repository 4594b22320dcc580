#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "skerry/agent/upstream_stream.hpp"
#include "skerry/common/json.hpp"

#include "fault.hpp"

namespace skerry::agent::upstream {
namespace {

constexpr std::size_t kMostDimensions = 65536;

Error unreadable(std::string_view what, std::string_view why) {
  return Error{Error::Code::kParse, "the upstream's " + std::string{what} + ": " + readable(why)};
}

Result<std::vector<float>> read_vector(const Json& entry) {
  const Json* values = entry.find("embedding");
  const Json::Array* list = values == nullptr ? nullptr : values->array();
  if (list == nullptr || list->empty() || list->size() > kMostDimensions) {
    return unreadable("embeddings", "no list of numbers");
  }
  std::vector<double> numbers;
  numbers.reserve(list->size());
  double square = 0;
  for (const Json& value : *list) {
    const Result<double> number = value.as_number();
    if (!number || !std::isfinite(*number)) {
      return unreadable("embeddings", "no list of numbers");
    }
    square += *number * *number;
    numbers.push_back(*number);
  }
  if (!(square > 0) || !std::isfinite(square)) {
    return unreadable("embeddings", "a vector without a direction");
  }
  const double scale = 1.0 / std::sqrt(square);
  // Scaled before it is cut: what a float cannot hold may have a direction all the same.
  std::vector<float> vector;
  vector.reserve(numbers.size());
  for (const double number : numbers) {
    vector.push_back(static_cast<float>(number * scale));
  }
  return vector;
}

}  // namespace

Result<EmbedAnswer> read_embeddings(std::string_view json, std::size_t texts) {
  JsonLimits limits;
  limits.bytes = AnswerLimits::kAnswerBytes;
  limits.values = AnswerLimits::kEmbeddingValues;
  Result<Json> document = Json::parse(json, limits);
  if (!document) {
    return unreadable("embeddings", document.error().message());
  }
  const Json* data = document->find("data");
  if (data == nullptr || data->array() == nullptr || data->array()->size() != texts) {
    return unreadable("embeddings", "not one for each text");
  }
  EmbedAnswer answer;
  answer.embeddings.vectors.resize(texts);
  for (std::size_t i = 0; i < texts; ++i) {
    const Json& entry = (*data->array())[i];
    const Json* index = entry.find("index");
    const std::int64_t at = index != nullptr && index->is_int() ? index->as_int().value_or(-1)
                                                                : static_cast<std::int64_t>(i);
    if (at < 0 || static_cast<std::size_t>(at) >= texts ||
        !answer.embeddings.vectors[static_cast<std::size_t>(at)].empty()) {
      return unreadable("embeddings", "an index twice or beyond the texts");
    }
    Result<std::vector<float>> vector = read_vector(entry);
    if (!vector) {
      return vector.error();
    }
    answer.embeddings.vectors[static_cast<std::size_t>(at)] = *std::move(vector);
  }
  for (const std::vector<float>& vector : answer.embeddings.vectors) {
    if (vector.size() != answer.embeddings.vectors.front().size()) {
      return unreadable("embeddings", "vectors of different lengths");
    }
  }
  if (const Json* usage = document->find("usage")) {
    const Result<std::int64_t> tokens = usage->get_int("prompt_tokens");
    if (tokens && *tokens > 0 && *tokens < 0x7fffffff) {
      answer.usage.prompt_tokens = static_cast<std::uint32_t>(*tokens);
    }
  }
  return answer;
}

Result<std::set<std::string>> read_models(std::string_view json) {
  JsonLimits limits;
  limits.bytes = AnswerLimits::kListBytes;
  limits.values = AnswerLimits::kListValues;
  Result<Json> document = Json::parse(json, limits);
  if (!document) {
    return unreadable("list of models", document.error().message());
  }
  const Json* data = document->find("data");
  // Ollama without any model: null.
  if (data != nullptr && data->is_null()) {
    return std::set<std::string>{};
  }
  if (data == nullptr || data->array() == nullptr) {
    return unreadable("list of models", "no member \"data\"");
  }
  std::set<std::string> models;
  for (const Json& entry : *data->array()) {
    const Json* id = entry.find("id");
    if (id != nullptr && id->string() != nullptr && models.size() < AnswerLimits::kModels) {
      models.insert(*id->string());
    }
  }
  return models;
}

bool offers(const Quirks& quirks, const std::set<std::string>& models, const std::string& name) {
  return models.contains(name) || (quirks.latest_tag && name.find(':') == std::string::npos &&
                                   models.contains(name + ":latest"));
}

std::optional<double> read_load(std::string_view page) {
  std::optional<double> load;
  while (!page.empty()) {
    const std::size_t end = std::min(page.find('\n'), page.size());
    const std::string line{page.substr(0, end)};
    page.remove_prefix(std::min(end + 1, page.size()));
    const std::string_view name = std::string_view{line}.substr(0, line.find_first_of("{ "));
    if (name != "vllm:num_requests_running" && name != "vllm:num_requests_waiting") {
      continue;
    }
    const std::size_t space =
        line.find(' ', line.rfind('}') == std::string::npos ? 0 : line.rfind('}'));
    if (space == std::string::npos) {
      continue;
    }
    const double value = std::strtod(line.c_str() + space, nullptr);
    if (std::isfinite(value) && value >= 0) {
      load = load.value_or(0.0) + value;
    }
  }
  return load;
}

}  // namespace skerry::agent::upstream
