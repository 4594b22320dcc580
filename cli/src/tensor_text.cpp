#include "skerry/cli/tensor_text.hpp"

#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace skerry::cli {
namespace {

// Calls `use` with a value of the C++ type that holds one element; false for types that JSON has no
// plain number for.
template <class Use>
bool with_type(std::string_view datatype, Use use) {
  if (datatype == "FP32") {
    use(float{});
  } else if (datatype == "FP64") {
    use(double{});
  } else if (datatype == "INT8") {
    use(std::int8_t{});
  } else if (datatype == "INT16") {
    use(std::int16_t{});
  } else if (datatype == "INT32") {
    use(std::int32_t{});
  } else if (datatype == "INT64") {
    use(std::int64_t{});
  } else if (datatype == "UINT8" || datatype == "BOOL") {
    use(std::uint8_t{});
  } else if (datatype == "UINT16") {
    use(std::uint16_t{});
  } else if (datatype == "UINT32") {
    use(std::uint32_t{});
  } else if (datatype == "UINT64") {
    use(std::uint64_t{});
  } else {
    return false;
  }
  return true;
}

template <class T>
bool append_number(const Json& value, std::string& data) {
  T number{};
  if constexpr (std::is_floating_point_v<T>) {
    const auto parsed = value.as_number();
    if (!parsed) {
      return false;
    }
    number = static_cast<T>(*parsed);
  } else {
    const auto parsed = value.as_int();
    if (!parsed || !std::in_range<T>(*parsed)) {
      return false;
    }
    number = static_cast<T>(*parsed);
  }
  const std::size_t at = data.size();
  data.resize(at + sizeof number);
  std::memcpy(data.data() + at, &number, sizeof number);
  return true;
}

template <class T>
Result<void> flatten(const Json& value, std::string& data) {
  const Json::Array* array = value.array();
  if (array == nullptr) {
    if (!append_number<T>(value, data)) {
      return Error{Error::Code::kParse,
                   "data: element " + std::to_string(data.size() / sizeof(T)) +
                       " is no number of the tensor's type: " + value.dump().substr(0, 32)};
    }
    return {};
  }
  for (const Json& element : *array) {
    if (auto done = flatten<T>(element, data); !done) {
      return done;
    }
  }
  return {};
}

Error unknown_type(std::string_view datatype) {
  return {
      Error::Code::kUnimplemented,
      "datatype " + std::string{datatype} +
          " has no JSON form here: use FP32, FP64, INT8 to INT64, UINT8 to UINT64 or BOOL, or a "
          "raw file"};
}

}  // namespace

Result<TensorValue> parse_tensor(std::string name, std::string_view json) {
  const auto document = Json::parse(json, JsonLimits{.bytes = 64U << 20U, .depth = 16});
  if (!document) {
    return document.error();
  }
  const auto shape = document->get_array("shape");
  const Json* data = document->find("data");
  if (!shape) {
    return shape.error();
  }
  if (data == nullptr || data->array() == nullptr) {
    return Error{Error::Code::kParse, "data: an array of numbers is missing"};
  }
  TensorValue tensor;
  tensor.name = std::move(name);
  tensor.datatype = "FP32";
  if (document->find("datatype") != nullptr) {
    auto datatype = document->get_string("datatype");
    if (!datatype) {
      return datatype.error();
    }
    tensor.datatype = std::move(*datatype);
  }
  std::uint64_t elements = 1;
  for (const Json& extent : *(*shape)->array()) {
    const auto value = extent.as_int();
    if (!value || *value < 0 || *value > std::numeric_limits<std::int32_t>::max()) {
      return Error{Error::Code::kParse, "shape: every extent is a whole number from 0 on"};
    }
    tensor.shape.push_back(*value);
    elements *= static_cast<std::uint64_t>(*value);
    if (elements > (std::uint64_t{1} << 32U)) {
      return Error{Error::Code::kTooLarge, "shape: more than 2^32 elements"};
    }
  }
  Result<void> filled;
  std::size_t element_size = 1;
  const bool known = with_type(tensor.datatype, [&](auto zero) {
    element_size = sizeof zero;
    filled = flatten<decltype(zero)>(*data, tensor.data);
  });
  if (!known) {
    return unknown_type(tensor.datatype);
  }
  if (!filled) {
    return filled.error();
  }
  if (tensor.data.size() / element_size != elements) {
    return Error{Error::Code::kInvalidArgument,
                 "data has " + std::to_string(tensor.data.size() / element_size) +
                     " numbers, the shape asks for " + std::to_string(elements)};
  }
  return tensor;
}

Result<Json> tensor_to_json(const TensorValue& tensor) {
  Json::Array data;
  Result<void> fits;
  const bool known = with_type(tensor.datatype, [&](auto value) {
    if (tensor.data.size() % sizeof value != 0) {
      fits = Error{Error::Code::kSizeMismatch, "the data is no whole number of elements"};
      return;
    }
    for (std::size_t at = 0; at < tensor.data.size(); at += sizeof value) {
      std::memcpy(&value, tensor.data.data() + at, sizeof value);
      if constexpr (std::is_floating_point_v<decltype(value)>) {
        data.emplace_back(static_cast<double>(value));
      } else {
        data.emplace_back(static_cast<std::int64_t>(value));
      }
    }
  });
  if (!known) {
    return unknown_type(tensor.datatype);
  }
  if (!fits) {
    return fits.error();
  }
  Json::Array shape;
  for (const std::int64_t extent : tensor.shape) {
    shape.emplace_back(extent);
  }
  Json json{Json::Object{}};
  json.object()->emplace("name", tensor.name);
  json.object()->emplace("datatype", tensor.datatype);
  json.object()->emplace("shape", std::move(shape));
  json.object()->emplace("data", std::move(data));
  return json;
}

}  // namespace skerry::cli
