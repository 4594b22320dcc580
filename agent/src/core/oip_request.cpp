// Paths and bodies of the Open Inference Protocol over HTTP.

#include <charconv>

#include "skerry/agent/http_text.hpp"
#include "skerry/agent/oip_rest.hpp"
#include "skerry/common/json.hpp"

#include "oip_values.hpp"
#include "request_fields.hpp"

namespace skerry::agent::oip {
namespace {

// Takes the inputs' bytes off the front of what follows the JSON.
class BinaryTail {
 public:
  explicit BinaryTail(std::string_view bytes) : bytes_(bytes) {}
  std::optional<std::string_view> take(std::int64_t size) {
    if (size < 0 || static_cast<std::uint64_t>(size) > bytes_.size()) {
      return std::nullopt;
    }
    const std::string_view taken = bytes_.substr(0, static_cast<std::size_t>(size));
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }

 private:
  std::string_view bytes_;
};

Result<std::vector<std::int64_t>> read_shape(const Json& input, const std::string& where) {
  const Json* list = fields::given(input, "shape");
  if (list == nullptr || list->array() == nullptr || list->array()->size() > Limits::kRank) {
    return fields::bad(where + ".shape",
                       "must be an array of at most " + std::to_string(Limits::kRank));
  }
  std::vector<std::int64_t> shape;
  for (const Json& entry : *list->array()) {
    Result<std::int64_t> dimension = entry.as_int();
    if (!dimension || *dimension < 0) {
      return fields::bad(where + ".shape", "must hold whole numbers that are not negative");
    }
    shape.push_back(*dimension);
  }
  return shape;
}

Result<RestTensor> read_tensor(const Json& input, const std::string& where, BinaryTail& tail) {
  RestTensor tensor;
  Result<std::string> name = input.get_string("name");
  Result<std::string> datatype = input.get_string("datatype");
  if (!name || name->empty()) {
    return fields::bad(where + ".name", "must be a string");
  }
  if (!datatype) {
    return fields::bad(where + ".datatype", "must be a string");
  }
  Result<std::vector<std::int64_t>> shape = read_shape(input, where);
  if (!shape) {
    return shape.error();
  }
  tensor.name = *std::move(name);
  tensor.datatype = *std::move(datatype);
  tensor.shape = *std::move(shape);
  const Json* parameters = fields::given(input, "parameters");
  const Json* size =
      parameters == nullptr ? nullptr : fields::given(*parameters, "binary_data_size");
  const Json* data = fields::given(input, "data");
  if ((size == nullptr) == (data == nullptr)) {
    return fields::bad(where, "needs either data or parameters.binary_data_size");
  }
  if (size != nullptr) {
    Result<std::int64_t> bytes = size->as_int();
    std::optional<std::string_view> taken = bytes ? tail.take(*bytes) : std::nullopt;
    if (!taken) {
      return fields::bad(where + ".parameters.binary_data_size",
                         "says more bytes than the body has after its JSON");
    }
    tensor.data = *taken;
    return tensor;
  }
  if (Result<void> packed = pack_elements(*data, tensor.datatype, tensor.data); !packed) {
    return fields::bad(where + ".data", packed.error().message());
  }
  return tensor;
}

Result<void> read_inputs(const Json& body, BinaryTail& tail, std::vector<RestTensor>& out) {
  const Json* list = fields::given(body, "inputs");
  if (list == nullptr || list->array() == nullptr || list->array()->empty() ||
      list->array()->size() > Limits::kTensors) {
    return fields::bad("inputs",
                       "must be an array of 1 to " + std::to_string(Limits::kTensors) + " tensors");
  }
  for (std::size_t i = 0; i < list->array()->size(); ++i) {
    Result<RestTensor> tensor =
        read_tensor((*list->array())[i], "inputs[" + std::to_string(i) + "]", tail);
    if (!tensor) {
      return tensor.error();
    }
    out.push_back(*std::move(tensor));
  }
  if (tail.left() > 0) {
    return fields::bad("inputs", std::to_string(tail.left()) + " bytes of the body belong to none");
  }
  return {};
}

Result<void> read_outputs(const Json& body, RestInfer& request) {
  if (const Json* parameters = fields::given(body, "parameters"); parameters != nullptr) {
    if (Result<void> done =
            fields::read_flag(*parameters, "binary_data_output", request.binary_output);
        !done) {
      return done;
    }
  }
  const Json* list = fields::given(body, "outputs");
  if (list == nullptr) {
    return {};
  }
  if (list->array() == nullptr || list->array()->size() > Limits::kTensors) {
    return fields::bad("outputs",
                       "must be an array of at most " + std::to_string(Limits::kTensors));
  }
  for (std::size_t i = 0; i < list->array()->size(); ++i) {
    const Json& entry = (*list->array())[i];
    const std::string where = "outputs[" + std::to_string(i) + "]";
    RestOutput output;
    Result<std::string> name = entry.get_string("name");
    if (!name || name->empty()) {
      return fields::bad(where + ".name", "must be a string");
    }
    output.name = *std::move(name);
    output.binary = request.binary_output;
    if (const Json* parameters = fields::given(entry, "parameters"); parameters != nullptr) {
      if (fields::asked(*parameters, "classification")) {
        return fields::bad(where + ".parameters.classification", "is not offered by this server");
      }
      if (Result<void> done = fields::read_flag(*parameters, "binary_data", output.binary); !done) {
        return done;
      }
    }
    request.outputs.push_back(std::move(output));
  }
  return {};
}

Result<std::size_t> json_size(std::string_view body, std::string_view json_length) {
  if (json_length.empty()) {
    return body.size();
  }
  std::size_t size = 0;
  const char* const end = json_length.data() + json_length.size();
  const auto read = std::from_chars(json_length.data(), end, size);
  if (read.ec != std::errc{} || read.ptr != end || size > body.size()) {
    return Error{Error::Code::kInvalidArgument,
                 "Inference-Header-Content-Length: must be a number of bytes that the body has"};
  }
  return size;
}

Result<std::string> decode_name(std::string_view text) {
  Result<std::string> name = percent_decode(text);
  if (name && name->empty()) {
    return Error{Error::Code::kNotFound, "the path names no model"};
  }
  return name;
}

// Cuts "/<suffix>" off the end.
bool cut(std::string_view& path, std::string_view suffix) {
  if (!path.ends_with(suffix)) {
    return false;
  }
  path.remove_suffix(suffix.size());
  return true;
}

}  // namespace

bool RestInfer::binary(std::string_view output) const {
  for (const RestOutput& one : outputs) {
    if (one.name == output) {
      return one.binary;
    }
  }
  return binary_output;
}

Result<RestInfer> parse_infer(std::string_view body,
                              std::string_view json_length,
                              std::size_t max_bytes) {
  Result<std::size_t> size = json_size(body, json_length);
  if (!size) {
    return size.error();
  }
  Result<Json> json = fields::parse_body(body.substr(0, *size), max_bytes);
  if (!json) {
    return json.error();
  }
  RestInfer request;
  if (Result<void> done = fields::read_text(*json, "id", request.id); !done) {
    return done.error();
  }
  BinaryTail tail{body.substr(*size)};
  if (Result<void> done = read_inputs(*json, tail, request.inputs); !done) {
    return done.error();
  }
  if (Result<void> done = read_outputs(*json, request); !done) {
    return done.error();
  }
  return request;
}

std::string ModelPath::reference() const {
  if (version.empty() || model.find('/') == std::string::npos ||
      model.find(':') != std::string::npos) {
    return model;
  }
  return model + ":" + version;
}

Result<ModelPath> parse_model_path(std::string_view path) {
  constexpr std::string_view kPrefix = "/v2/models/";
  path.remove_prefix(std::min(path.size(), kPrefix.size()));
  ModelPath out;
  if (cut(path, "/infer")) {
    out.action = "infer";
  } else if (cut(path, "/ready")) {
    out.action = "ready";
  }
  constexpr std::string_view kVersions = "/versions/";
  if (const std::size_t at = path.rfind(kVersions); at != std::string_view::npos) {
    Result<std::string> version = decode_name(path.substr(at + kVersions.size()));
    if (!version) {
      return version.error();
    }
    out.version = *std::move(version);
    path = path.substr(0, at);
  }
  Result<std::string> model = decode_name(path);
  if (!model) {
    return model.error();
  }
  out.model = *std::move(model);
  return out;
}

Result<ModelPath> parse_repository_path(std::string_view path) {
  constexpr std::string_view kPrefix = "/v2/repository/models/";
  path.remove_prefix(std::min(path.size(), kPrefix.size()));
  ModelPath out;
  if (cut(path, "/unload")) {
    out.action = "unload";
  } else if (cut(path, "/load")) {
    out.action = "load";
  } else {
    return Error{Error::Code::kNotFound, "a model of the repository is loaded or unloaded"};
  }
  Result<std::string> model = decode_name(path);
  if (!model) {
    return model.error();
  }
  out.model = *std::move(model);
  return out;
}

}  // namespace skerry::agent::oip
