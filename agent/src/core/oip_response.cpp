// Answers of the Open Inference Protocol over HTTP.

#include <utility>

#include "skerry/agent/oip_rest.hpp"
#include "skerry/common/json.hpp"

#include "oip_values.hpp"

namespace skerry::agent::oip {
namespace {

Json shape_json(const std::vector<std::int64_t>& shape) {
  Json::Array list;
  for (const std::int64_t dimension : shape) {
    list.emplace_back(dimension);
  }
  return Json{std::move(list)};
}

Json infos_json(const std::vector<RestTensorInfo>& tensors) {
  Json::Array list;
  for (const RestTensorInfo& tensor : tensors) {
    Json::Object object;
    object.emplace("name", Json{tensor.name});
    object.emplace("datatype", Json{tensor.datatype});
    object.emplace("shape", shape_json(tensor.shape));
    list.emplace_back(std::move(object));
  }
  return Json{std::move(list)};
}

}  // namespace

Result<RestAnswer> infer_body(const RestInfer& request,
                              const std::string& model,
                              const std::string& version,
                              const std::vector<RestTensor>& outputs) {
  RestAnswer answer;
  std::string tail;
  std::string list;
  for (const RestTensor& tensor : outputs) {
    list += list.empty() ? "" : ",";
    list += R"({"name":)" + Json{tensor.name}.dump() + R"(,"datatype":)" +
            Json{tensor.datatype}.dump() + R"(,"shape":)" + shape_json(tensor.shape).dump();
    if (request.binary(tensor.name)) {
      list += R"(,"parameters":{"binary_data_size":)" + std::to_string(tensor.data.size()) + "}}";
      tail += tensor.data;
      answer.json_length = 0;
      continue;
    }
    Result<std::string> data = elements_text(tensor.data, tensor.datatype);
    if (!data) {
      return Error{data.error().code(),
                   "output \"" + tensor.name + "\": " + data.error().message() +
                       "; ask for it with binary_data"};
    }
    list += R"(,"data":)" + *data + "}";
  }
  answer.body =
      R"({"model_name":)" + Json{model}.dump() + R"(,"model_version":)" + Json{version}.dump();
  if (!request.id.empty()) {
    answer.body += R"(,"id":)" + Json{request.id}.dump();
  }
  answer.body += R"(,"outputs":[)" + list + "]}";
  if (answer.json_length) {
    answer.json_length = answer.body.size();
    answer.body += tail;
  }
  return answer;
}

std::string server_body(std::string_view version) {
  Json::Array extensions;
  extensions.emplace_back("binary_tensor_data");
  extensions.emplace_back("model_repository");
  Json::Object object;
  object.emplace("name", Json{"skerry"});
  object.emplace("version", Json{version});
  object.emplace("extensions", Json{std::move(extensions)});
  return Json{std::move(object)}.dump();
}

std::string metadata_body(const std::string& model,
                          const std::string& version,
                          const std::string& platform,
                          const std::vector<RestTensorInfo>& inputs,
                          const std::vector<RestTensorInfo>& outputs) {
  Json::Array versions;
  versions.emplace_back(version);
  Json::Object object;
  object.emplace("name", Json{model});
  object.emplace("versions", Json{std::move(versions)});
  object.emplace("platform", Json{platform});
  object.emplace("inputs", infos_json(inputs));
  object.emplace("outputs", infos_json(outputs));
  return Json{std::move(object)}.dump();
}

std::string index_body(const std::vector<IndexEntry>& models) {
  Json::Array list;
  for (const IndexEntry& model : models) {
    Json::Object object;
    object.emplace("name", Json{model.name});
    object.emplace("version", Json{model.version});
    object.emplace("state", Json{"READY"});
    object.emplace("reason", Json{""});
    list.emplace_back(std::move(object));
  }
  return Json{std::move(list)}.dump();
}

}  // namespace skerry::agent::oip
