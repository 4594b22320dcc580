#include "skerry/common/toml_reader.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <toml++/toml.h>

namespace skerry {
namespace {

constexpr std::size_t kMaxFile = 1U << 20U;

struct Finding {
  std::uint32_t line = 0;
  std::string message;
};

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

}  // namespace

struct TomlReader::Impl {
  std::string name;
  toml::table table;
  std::vector<Finding> findings;
  std::shared_ptr<TomlTable::Node> root;
};

struct TomlTable::Node {
  TomlReader::Impl* reader = nullptr;
  const toml::table* table = nullptr;  // null: absent
  std::string path;                    // "server.tls", empty at the top
  std::vector<std::string> known;
  bool any_key = false;
  std::map<std::string, std::shared_ptr<Node>, std::less<>> children;
  std::vector<std::shared_ptr<Node>> elements;

  [[nodiscard]] std::string full(std::string_view key) const {
    return path.empty() ? std::string{key} : path + "." + std::string{key};
  }

  const toml::node* find(std::string_view key) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      known.emplace_back(key);
    }
    return table == nullptr ? nullptr : table->get(key);
  }

  void fail_at(const toml::source_region& source, const std::string& message) const {
    reader->findings.push_back({source.begin.line, message});
  }

  void wrong_type(std::string_view key, const toml::node& node, std::string_view wanted) const {
    fail_at(
        node.source(),
        full(key) + " must be " + std::string{wanted} + ", not " + std::string{type_name(node)});
  }

  void check_unknown() const {
    for (const auto& child : children) {
      child.second->check_unknown();
    }
    for (const auto& element : elements) {
      element->check_unknown();
    }
    if (table == nullptr || any_key) {
      return;
    }
    for (const auto& [key, value] : *table) {
      if (std::find(known.begin(), known.end(), key.str()) != known.end()) {
        continue;
      }
      std::string message = "unknown key \"" + full(key.str()) + "\"";
      if (const auto nearest = nearest_name(key.str(), known); !nearest.empty()) {
        message += "; did you mean \"" + full(nearest) + "\"?";
      } else if (!known.empty()) {
        message += "; known here: ";
        for (std::size_t i = 0; i < known.size(); ++i) {
          message += (i == 0 ? "" : ", ") + known[i];
        }
      }
      fail_at(key.source(), message);
    }
  }
};

TomlTable::TomlTable(std::shared_ptr<Node> node) : node_(std::move(node)) {}

bool TomlTable::present() const {
  return node_->table != nullptr;
}

bool TomlTable::has(std::string_view key) const {
  return node_->table != nullptr && node_->table->contains(key);
}

void TomlTable::read(std::string_view key, std::string& out) {
  if (const auto* node = node_->find(key)) {
    if (const auto* value = node->as_string()) {
      out = value->get();
    } else {
      node_->wrong_type(key, *node, "a string");
    }
  }
}

void TomlTable::read(std::string_view key, bool& out) {
  if (const auto* node = node_->find(key)) {
    if (const auto* value = node->as_boolean()) {
      out = value->get();
    } else {
      node_->wrong_type(key, *node, "true or false");
    }
  }
}

void TomlTable::read(std::string_view key, double& out) {
  if (const auto* node = node_->find(key)) {
    if (const auto value = node->value<double>(); value && node->is_number()) {
      out = *value;
    } else {
      node_->wrong_type(key, *node, "a number");
    }
  }
}

void TomlTable::read(std::string_view key, std::vector<std::string>& out) {
  const auto* node = node_->find(key);
  if (node == nullptr) {
    return;
  }
  const auto* array = node->as_array();
  if (array == nullptr) {
    node_->wrong_type(key, *node, "an array of strings");
    return;
  }
  std::vector<std::string> values;
  for (const auto& element : *array) {
    const auto* value = element.as_string();
    if (value == nullptr) {
      node_->wrong_type(key, element, "an array of strings");
      return;
    }
    values.push_back(value->get());
  }
  out = std::move(values);
}

void TomlTable::read(std::string_view key, std::chrono::milliseconds& out) {
  const auto* node = node_->find(key);
  if (node == nullptr) {
    return;
  }
  const auto* value = node->as_string();
  if (value == nullptr) {
    node_->wrong_type(key, *node, "a duration in quotes, such as \"30s\"");
    return;
  }
  if (const auto duration = parse_duration(value->get())) {
    out = *duration;
  } else {
    node_->fail_at(node->source(), node_->full(key) + ": " + duration.error().message());
  }
}

void TomlTable::read(std::string_view key, ByteSize& out) {
  const auto* node = node_->find(key);
  if (node == nullptr) {
    return;
  }
  if (const auto* number = node->as_integer(); number != nullptr && number->get() >= 0) {
    out.bytes = static_cast<std::uint64_t>(number->get());
    return;
  }
  const auto* value = node->as_string();
  if (value == nullptr) {
    node_->wrong_type(key, *node, "a size such as \"64MiB\" or a whole number of bytes");
    return;
  }
  if (const auto size = parse_byte_size(value->get())) {
    out = *size;
  } else {
    node_->fail_at(node->source(), node_->full(key) + ": " + size.error().message());
  }
}

void TomlTable::read_int(std::string_view key,
                         std::int64_t& out,
                         std::int64_t min,
                         std::int64_t max) {
  const auto* node = node_->find(key);
  if (node == nullptr) {
    return;
  }
  const auto* value = node->as_integer();
  if (value == nullptr) {
    node_->wrong_type(key, *node, "a whole number");
  } else if (value->get() < min || value->get() > max) {
    node_->fail_at(node->source(),
                   node_->full(key) + " is " + std::to_string(value->get()) + "; it must be from " +
                       std::to_string(min) + " to " + std::to_string(max));
  } else {
    out = value->get();
  }
}

TomlTable TomlTable::table(std::string_view key) {
  if (const auto found = node_->children.find(key); found != node_->children.end()) {
    return TomlTable{found->second};
  }
  auto child = std::make_shared<Node>();
  child->reader = node_->reader;
  child->path = node_->full(key);
  if (const auto* node = node_->find(key)) {
    child->table = node->as_table();
    if (child->table == nullptr) {
      node_->wrong_type(key, *node, "a table");
    }
  }
  node_->children.emplace(key, child);
  return TomlTable{child};
}

std::vector<TomlTable> TomlTable::tables(std::string_view key) {
  std::vector<TomlTable> out;
  const auto* node = node_->find(key);
  if (node == nullptr) {
    return out;
  }
  const auto* array = node->as_array();
  if (array == nullptr) {
    node_->wrong_type(key, *node, "an array of tables");
    return out;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    auto child = std::make_shared<Node>();
    child->reader = node_->reader;
    child->path = node_->full(key) + "[" + std::to_string(i) + "]";
    child->table = array->get(i)->as_table();
    if (child->table == nullptr) {
      node_->wrong_type(key, *array->get(i), "an array of tables");
    }
    node_->elements.push_back(child);
    out.push_back(TomlTable{std::move(child)});
  }
  return out;
}

std::vector<std::string> TomlTable::keys() {
  std::vector<std::string> out;
  node_->any_key = true;
  if (node_->table != nullptr) {
    for (const auto& [key, value] : *node_->table) {
      out.emplace_back(key.str());
    }
  }
  return out;
}

void TomlTable::fail(std::string_view key, std::string_view message) {
  const auto* node = node_->find(key);
  const auto source = node != nullptr           ? node->source()
                      : node_->table != nullptr ? node_->table->source()
                                                : toml::source_region{};
  node_->fail_at(source, node_->full(key) + ": " + std::string{message});
}

std::string TomlTable::where(std::string_view key) const {
  const toml::node* node = node_->table == nullptr ? nullptr : node_->table->get(key);
  if (node == nullptr) {
    node = node_->table;
  }
  const auto line = node == nullptr ? 0U : node->source().begin.line;
  return line == 0 ? node_->reader->name : node_->reader->name + ":" + std::to_string(line);
}

TomlReader::TomlReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TomlReader::TomlReader(TomlReader&&) noexcept = default;
TomlReader& TomlReader::operator=(TomlReader&&) noexcept = default;
TomlReader::~TomlReader() = default;

Result<TomlReader> TomlReader::parse(std::string_view text, std::string name) {
  if (text.size() > kMaxFile) {
    return Error{Error::Code::kConfigInvalid,
                 name + ": " + std::to_string(text.size()) +
                     " bytes; a configuration file has at most 1 MiB"};
  }
  auto impl = std::make_unique<Impl>();
  impl->name = std::move(name);
  try {
    impl->table = toml::parse(text, impl->name);
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    return Error{Error::Code::kConfigInvalid,
                 impl->name + ":" + std::to_string(at.line) + ":" + std::to_string(at.column) +
                     ": " + std::string{error.description()}};
  }
  impl->root = std::make_shared<TomlTable::Node>();
  impl->root->reader = impl.get();
  impl->root->table = &impl->table;
  return TomlReader{std::move(impl)};
}

Result<TomlReader> TomlReader::load(FileSystem& fs, const std::filesystem::path& path) {
  const auto text = read_file(fs, path, kMaxFile);
  if (!text) {
    return text.error().with_context("reading the configuration " + path.string());
  }
  return parse(*text, path.string());
}

TomlTable TomlReader::root() {
  return TomlTable{impl_->root};
}

Result<void> TomlReader::finish() {
  impl_->root->check_unknown();
  if (impl_->findings.empty()) {
    return {};
  }
  const auto first = std::min_element(
      impl_->findings.begin(), impl_->findings.end(), [](const Finding& a, const Finding& b) {
        return a.line < b.line;
      });
  const std::string place =
      first->line == 0 ? impl_->name : impl_->name + ":" + std::to_string(first->line);
  return Error{Error::Code::kConfigInvalid, place + ": " + first->message};
}

}  // namespace skerry
