#include "skerry/registry/upstream_spec.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::registry::upstream {
namespace {

constexpr std::array kTierNames{std::pair{Tier::kLocal, std::string_view{"local"}},
                                std::pair{Tier::kSite, std::string_view{"site"}},
                                std::pair{Tier::kCloud, std::string_view{"cloud"}}};

constexpr std::array kKindNames{
    std::pair{ServerKind::kCompatible, std::string_view{"compatible"}},
    std::pair{ServerKind::kOpenAi, std::string_view{"openai"}},
    std::pair{ServerKind::kVllm, std::string_view{"vllm"}},
    std::pair{ServerKind::kMlxLm, std::string_view{"mlx_lm"}},
    std::pair{ServerKind::kOllama, std::string_view{"ollama"}},
    std::pair{ServerKind::kFoundryLocal, std::string_view{"foundry_local"}}};

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) noexcept {
  for (const auto& [one, name] : table) {
    if (one == value) {
      return name;
    }
  }
  return "unknown";
}

constexpr std::string_view kSpecFormat = "skerry-upstream/1";
constexpr std::int64_t kMostContext = 1 << 24;

Error refused(std::string_view member, std::string_view problem) {
  return Error{Error::Code::kModelFormat,
               "upstream description: " + std::string{member} + ": " + std::string{problem}};
}

Result<std::string> read_name(const Json& value, std::string_view member) {
  const std::string* text = value.string();
  if (text == nullptr || text->empty() || text->size() > Spec::kNameLength) {
    return refused(member, "must be a text of 1 to 256 bytes");
  }
  const bool visible = std::all_of(text->begin(), text->end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) != 0x7f;
  });
  if (!visible) {
    return refused(member, "must not contain white space or control characters");
  }
  return *text;
}

Result<void> read_names(const Json& value, Spec& spec) {
  const Json::Object* names = value.object();
  if (names == nullptr) {
    return refused("names", "must be an object from kind of server to name");
  }
  for (const auto& [word, name] : *names) {
    const std::optional<ServerKind> kind = parse_server_kind(word);
    if (!kind) {
      return refused("names." + word, "is no kind of server");
    }
    Result<std::string> read = read_name(name, "names." + word);
    if (!read) {
      return read.error();
    }
    spec.names.emplace(*kind, *std::move(read));
  }
  return {};
}

Result<void> read_order(const Json& value, Spec& spec) {
  const Json::Array* order = value.array();
  if (order == nullptr || order->empty()) {
    return refused("order", R"(must list at least one of "local", "site", "cloud")");
  }
  for (const Json& item : *order) {
    const std::string* word = item.string();
    const std::optional<Tier> tier = word == nullptr ? std::nullopt : parse_tier(*word);
    if (!tier) {
      return refused("order", R"(must list "local", "site" or "cloud")");
    }
    if (std::find(spec.order.begin(), spec.order.end(), *tier) != spec.order.end()) {
      return refused("order", "names \"" + *word + "\" twice");
    }
    spec.order.push_back(*tier);
  }
  return {};
}

Result<void> read_tasks(const Json& value, Spec& spec) {
  const Json::Array* tasks = value.array();
  if (tasks == nullptr || tasks->empty()) {
    return refused("tasks", R"(must list at least one of "chat", "text", "embed")");
  }
  spec.chat = false;
  for (const Json& item : *tasks) {
    const std::string* word = item.string();
    if (word != nullptr && *word == "chat") {
      spec.chat = true;
    } else if (word != nullptr && *word == "text") {
      spec.text = true;
    } else if (word != nullptr && *word == "embed") {
      spec.embed = true;
    } else {
      return refused("tasks", R"(must list "chat", "text" or "embed")");
    }
  }
  return {};
}

Result<void> read_member(const std::string& key, const Json& value, Spec& spec) {
  if (key == "format") {
    const std::string* format = value.string();
    if (format == nullptr || *format != kSpecFormat) {
      return refused("format", "must be \"" + std::string{kSpecFormat} + "\"");
    }
    return {};
  }
  if (key == "model") {
    Result<std::string> name = read_name(value, "model");
    if (!name) {
      return name.error();
    }
    spec.model = *std::move(name);
    return {};
  }
  if (key == "names") {
    return read_names(value, spec);
  }
  if (key == "order") {
    return read_order(value, spec);
  }
  if (key == "tasks") {
    return read_tasks(value, spec);
  }
  if (key == "spill") {
    if (!value.is_bool()) {
      return refused("spill", "must be true or false");
    }
    spec.spill = value == Json{true};
    return {};
  }
  if (key == "context_length") {
    const Result<std::int64_t> length = value.as_int();
    if (!length || *length < 1 || *length > kMostContext) {
      return refused("context_length", "must be a number of tokens, 1 to 16777216");
    }
    spec.context_length = static_cast<std::uint32_t>(*length);
    return {};
  }
  return refused(key, "is not known");
}

}  // namespace

const std::string& Spec::name_at(ServerKind kind) const {
  const auto found = names.find(kind);
  return found == names.end() ? model : found->second;
}

std::string_view to_string(Tier tier) noexcept {
  return name_in(kTierNames, tier);
}

std::string_view to_string(ServerKind kind) noexcept {
  return name_in(kKindNames, kind);
}

std::optional<Tier> parse_tier(std::string_view text) noexcept {
  for (const auto& [tier, name] : kTierNames) {
    if (name == text) {
      return tier;
    }
  }
  return std::nullopt;
}

std::optional<ServerKind> parse_server_kind(std::string_view text) noexcept {
  for (const auto& [kind, name] : kKindNames) {
    if (name == text) {
      return kind;
    }
  }
  return std::nullopt;
}

Result<Spec> parse_spec(std::string_view json) {
  JsonLimits limits;
  limits.bytes = Spec::kBytes;
  limits.depth = 4;
  Result<Json> document = Json::parse(json, limits);
  if (!document) {
    return Error{Error::Code::kModelFormat, "upstream description: " + document.error().message()};
  }
  const Json::Object* members = document->object();
  if (members == nullptr) {
    return refused("(document)", "must be an object");
  }
  for (const std::string_view needed : {"format", "model", "order"}) {
    if (document->find(needed) == nullptr) {
      return refused(needed, "is missing");
    }
  }
  Spec spec;
  for (const auto& [key, value] : *members) {
    if (Result<void> read = read_member(key, value, spec); !read) {
      return read.error();
    }
  }
  return spec;
}

}  // namespace skerry::registry::upstream
