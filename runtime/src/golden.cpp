// Reads golden and evaluation sets (docs/formats/golden.md).

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "skerry/common/json.hpp"
#include "skerry/runtime/evaluate.hpp"

namespace skerry::runtime {
namespace {

constexpr std::size_t kMaxLine = 1U << 20U;
constexpr std::int64_t kMaxElements = 64 << 20;

Error parse_error(std::string_view where, std::string_view what) {
  return Error{Error::Code::kParse, "golden set, " + std::string{where} + ": " + std::string{what}};
}

// A member that must be an array; lives in `from`.
Result<const Json::Array*> get_list(const Json& from, std::string_view key) {
  auto found = from.get_array(key);
  if (!found) {
    return found.error();
  }
  return (*found)->array();
}

Result<MatchRule> parse_rule(std::string_view name) {
  if (name == "exact") {
    return MatchRule::kExact;
  }
  if (name == "json") {
    return MatchRule::kJson;
  }
  if (name == "fields") {
    return MatchRule::kJsonFields;
  }
  return Error{Error::Code::kParse,
               "\"match\" is \"" + std::string{name} + "\": use exact, json or fields"};
}

Result<GoldenCase> parse_line(const Json& line) {
  GoldenCase one;
  auto prompt = line.get_string("prompt");
  if (!prompt) {
    return prompt.error();
  }
  one.prompt = std::move(*prompt);
  const Json* expect = line.find("expect");
  if (expect == nullptr || !(expect->is_string() || expect->is_object())) {
    return Error{Error::Code::kParse, "\"expect\" must be a string or an object"};
  }
  if (expect->is_object()) {
    one.match = MatchRule::kJsonFields;
    one.expect = expect->dump();
  } else {
    one.expect = *expect->string();
  }
  if (line.find("match") != nullptr) {
    auto name = line.get_string("match");
    if (!name) {
      return name.error();
    }
    auto rule = parse_rule(*name);
    if (!rule) {
      return rule.error();
    }
    one.match = *rule;
  }
  if (one.match != MatchRule::kExact && !expect->is_object() && !Json::parse(one.expect)) {
    return Error{Error::Code::kParse, "\"expect\" must be JSON for this \"match\""};
  }
  if (line.find("max_tokens") != nullptr) {
    auto max_tokens = line.get_int("max_tokens");
    if (!max_tokens || *max_tokens < 1 || *max_tokens > 65536) {
      return Error{Error::Code::kParse, "\"max_tokens\" must be between 1 and 65536"};
    }
    one.max_tokens = static_cast<std::uint32_t>(*max_tokens);
  }
  return one;
}

Result<GoldenSet> parse_lines(std::string_view text) {
  GoldenSet set;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) {
      continue;
    }
    const std::string where = "line " + std::to_string(number);
    auto json = Json::parse(line, {.bytes = kMaxLine, .depth = 16});
    if (!json) {
      return json.error().with_context("golden set, " + where);
    }
    auto one = parse_line(*json);
    if (!one) {
      return parse_error(where, one.error().message());
    }
    if (set.cases.size() == kMaxGoldenCases) {
      return Error{Error::Code::kTooLarge, "a golden set holds at most 10000 cases"};
    }
    set.cases.push_back(std::move(*one));
  }
  if (set.cases.empty()) {
    return parse_error("line 1", "there are no cases");
  }
  return set;
}

// Tensor documents.

struct TensorDocument {
  std::string input;
  std::string output;
  std::vector<std::string> classes;
  double scale = 1.0;
};

Result<std::vector<std::int64_t>> parse_shape(const Json& from) {
  auto array = get_list(from, "shape");
  if (!array) {
    return array.error();
  }
  std::vector<std::int64_t> shape;
  std::int64_t elements = 1;
  for (const Json& dimension : **array) {
    auto value = dimension.as_int();
    if (!value || *value < 1 || *value > kMaxElements || elements > kMaxElements / *value) {
      return parse_error("\"shape\"", "dimensions must be positive and their product moderate");
    }
    elements *= *value;
    shape.push_back(*value);
  }
  if (shape.empty() || shape.size() > 8) {
    return parse_error("\"shape\"", "there must be 1 to 8 dimensions");
  }
  return shape;
}

std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t elements = 1;
  for (const std::int64_t dimension : shape) {
    elements *= dimension;
  }
  return elements;
}

void append_float(std::string& data, double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  for (unsigned shift = 0; shift < 32; shift += 8) {
    data.push_back(static_cast<char>((bits >> shift) & 0xffU));
  }
}

GoldenCase tensor_case(const TensorDocument& document,
                       std::vector<std::int64_t> shape,
                       std::string data,
                       std::int64_t expect) {
  GoldenCase one;
  one.match = MatchRule::kArgmax;
  one.output = document.output;
  one.expect_class = expect;
  const auto index = static_cast<std::size_t>(expect);
  one.expect = index < document.classes.size() ? document.classes[index] : std::to_string(expect);
  one.inputs.push_back(Tensor{.name = document.input,
                              .type = DataType::kFp32,
                              .shape = std::move(shape),
                              .data = std::move(data)});
  return one;
}

Result<TensorDocument> parse_header(const Json& json) {
  TensorDocument document;
  auto input = json.get_string("input");
  if (!input) {
    return input.error();
  }
  document.input = std::move(*input);
  if (json.find("output") != nullptr) {
    auto output = json.get_string("output");
    if (!output) {
      return output.error();
    }
    document.output = std::move(*output);
  }
  if (json.find("classes") != nullptr) {
    auto classes = get_list(json, "classes");
    if (!classes) {
      return classes.error();
    }
    for (const Json& name : **classes) {
      if (name.string() == nullptr) {
        return parse_error("\"classes\"", "every class must be a string");
      }
      document.classes.push_back(*name.string());
    }
  }
  return document;
}

Result<double> parse_scale(const Json& from) {
  if (from.find("scale") == nullptr) {
    return 1.0;
  }
  return from.get_number("scale");
}

Result<std::int64_t> parse_class(const TensorDocument& document, const Json& label) {
  if (label.string() != nullptr) {
    const auto found = std::find(document.classes.begin(), document.classes.end(), *label.string());
    if (found == document.classes.end()) {
      return Error{Error::Code::kParse, "\"" + *label.string() + "\" is not among the classes"};
    }
    return static_cast<std::int64_t>(found - document.classes.begin());
  }
  auto index = label.as_int();
  if (!index || *index < 0 ||
      (!document.classes.empty() && *index >= static_cast<std::int64_t>(document.classes.size()))) {
    return Error{Error::Code::kParse, "a label must be a class or its index"};
  }
  return *index;
}

Result<GoldenSet> parse_inline(const TensorDocument& document, const Json& json) {
  auto shape = parse_shape(json);
  auto scale = parse_scale(json);
  auto cases = get_list(json, "cases");
  if (!shape || !scale || !cases) {
    return !shape ? shape.error() : !scale ? scale.error() : cases.error();
  }
  GoldenSet set;
  for (const Json& item : **cases) {
    const std::string where = "cases[" + std::to_string(set.cases.size()) + "]";
    const Json* expect = item.find("expect");
    auto values = get_list(item, "values");
    if (expect == nullptr || !values) {
      return parse_error(where, "it needs \"expect\" and an array \"values\"");
    }
    auto label = parse_class(document, *expect);
    if (!label) {
      return parse_error(where, label.error().message());
    }
    if (static_cast<std::int64_t>((*values)->size()) != product(*shape)) {
      return parse_error(where,
                         "there are " + std::to_string((*values)->size()) + " values, the shape " +
                             "has " + std::to_string(product(*shape)));
    }
    std::string data;
    for (const Json& value : **values) {
      auto number = value.as_number();
      if (!number) {
        return parse_error(where, "every value must be a number");
      }
      append_float(data, *number * *scale);
    }
    set.cases.push_back(tensor_case(document, *shape, std::move(data), *label));
    if (set.cases.size() > kMaxGoldenCases) {
      return Error{Error::Code::kTooLarge, "a golden set holds at most 10000 cases"};
    }
  }
  return set;
}

std::uint32_t little_endian(std::string_view data, std::size_t at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) {
    value = (value << 8U) | static_cast<std::uint8_t>(data[at + i]);
  }
  return value;
}

Result<GoldenSet> parse_sidecar(const TensorDocument& document,
                                const Json& json,
                                const Json& described,
                                std::string_view data) {
  auto shape = parse_shape(described);
  auto scale = parse_scale(described);
  auto type = described.get_string("type");
  auto labels = get_list(json, "labels");
  if (!shape || !scale || !type || !labels) {
    return !shape ? shape.error() : !scale ? scale.error() : !type ? type.error() : labels.error();
  }
  const bool integers = *type == "int16le";
  if (!integers && *type != "float32le") {
    return parse_error("\"data\"", "\"type\" must be int16le or float32le");
  }
  const std::size_t width = integers ? 2 : 4;
  if (data.size() != static_cast<std::size_t>(product(*shape)) * width) {
    return parse_error("\"data\"",
                       "the data file has " + std::to_string(data.size()) +
                           " bytes, the shape asks for " +
                           std::to_string(static_cast<std::size_t>(product(*shape)) * width));
  }
  const auto count = static_cast<std::size_t>(shape->front());
  if ((*labels)->size() != count || count > kMaxGoldenCases) {
    return parse_error("\"labels\"",
                       "there must be one for each of the " + std::to_string(count) + " samples");
  }
  std::vector<std::int64_t> sample = *shape;
  sample.front() = 1;
  const auto elements = static_cast<std::size_t>(product(sample));
  GoldenSet set;
  for (std::size_t i = 0; i < count; ++i) {
    auto label = parse_class(document, (**labels)[i]);
    if (!label) {
      return parse_error("labels[" + std::to_string(i) + "]", label.error().message());
    }
    std::string values;
    values.reserve(elements * 4);
    for (std::size_t k = 0; k < elements; ++k) {
      const std::uint32_t raw = little_endian(data, (i * elements + k) * width, width);
      const double value =
          integers ? static_cast<double>(static_cast<std::int16_t>(static_cast<std::uint16_t>(raw)))
                   : static_cast<double>(std::bit_cast<float>(raw));
      append_float(values, value * *scale);
    }
    set.cases.push_back(tensor_case(document, sample, std::move(values), *label));
  }
  return set;
}

}  // namespace

Result<GoldenSet> parse_golden(std::string_view text, std::string_view data) {
  if (text.size() > kMaxGoldenBytes || data.size() > kMaxGoldenBytes) {
    return Error{Error::Code::kTooLarge, "a golden set holds at most 16 MiB"};
  }
  const std::string_view first = text.substr(0, std::min(text.find('\n'), text.size()));
  const auto line = Json::parse(first, {.bytes = kMaxLine, .depth = 16});
  if (line && line->find("prompt") != nullptr) {
    return parse_lines(text);
  }
  auto json = Json::parse(text, {.bytes = kMaxGoldenBytes, .depth = 16});
  if (!json) {
    // Neither form: the first line tells more than the whole.
    return line ? json.error().with_context("golden set")
                : line.error().with_context("golden set, line 1");
  }
  auto document = parse_header(*json);
  if (!document) {
    return document.error().with_context("golden set");
  }
  if (const Json* described = json->find("data"); described != nullptr) {
    return parse_sidecar(*document, *json, *described, data);
  }
  return parse_inline(*document, *json);
}

}  // namespace skerry::runtime
