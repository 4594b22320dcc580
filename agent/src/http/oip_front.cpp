// The Open Inference Protocol's HTTP calls over the service layer.

#include <utility>

#include "skerry/agent/oip_rest.hpp"

#include "fronts.hpp"

namespace skerry::agent {
namespace {

Result<std::vector<runtime::Tensor>> engine_tensors(std::vector<oip::RestTensor> inputs) {
  std::vector<runtime::Tensor> tensors;
  for (oip::RestTensor& input : inputs) {
    Result<runtime::DataType> type = runtime::parse_data_type(input.datatype);
    if (!type) {
      return type.error().with_context("input \"" + input.name + "\"");
    }
    runtime::Tensor tensor;
    tensor.name = std::move(input.name);
    tensor.type = *type;
    tensor.shape = std::move(input.shape);
    tensor.data = std::move(input.data);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::vector<oip::RestTensor> rest_tensors(std::vector<runtime::Tensor> outputs) {
  std::vector<oip::RestTensor> tensors;
  for (runtime::Tensor& output : outputs) {
    oip::RestTensor tensor;
    tensor.name = std::move(output.name);
    tensor.datatype = to_string(output.type);
    tensor.shape = std::move(output.shape);
    tensor.data = std::move(output.data);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::vector<oip::RestTensorInfo> rest_infos(const std::vector<runtime::TensorInfo>& tensors) {
  std::vector<oip::RestTensorInfo> infos;
  for (const runtime::TensorInfo& tensor : tensors) {
    oip::RestTensorInfo info;
    info.name = tensor.name;
    info.datatype = to_string(tensor.type);
    info.shape = tensor.shape;
    infos.push_back(std::move(info));
  }
  return infos;
}

Task<bool> model_ready(HttpExchange& exchange, Caller caller, oip::ModelPath path) {
  Result<ServedModelPtr> model = co_await exchange.parts().inference.find(
      std::move(caller), path.reference(), security::Verb::kList, "oip.model_ready");
  if (!model) {
    co_return co_await exchange.fail(model.error());
  }
  // An active model is ready: it is loaded when the first request comes.
  std::string body("{\"ready\":true}");
  co_return co_await exchange.json(std::move(body));
}

Task<bool> model_metadata(HttpExchange& exchange, Caller caller, oip::ModelPath path) {
  HttpParts& parts = exchange.parts();
  Result<ServedModelPtr> model = co_await parts.inference.find(
      std::move(caller), path.reference(), security::Verb::kList, "oip.model_metadata");
  if (!model) {
    co_return co_await exchange.fail(model.error());
  }
  // Shapes and types are the engine's to say, so the model is loaded for them.
  Result<ModelHost::Lease> lease = co_await parts.host.acquire(*model);
  if (!lease) {
    co_return co_await exchange.fail(lease.error());
  }
  const runtime::ModelInfo& info = lease->model().info();
  std::string body = oip::metadata_body((*model)->name(),
                                        (*model)->version(),
                                        info.plugin + "_" + info.architecture,
                                        rest_infos(info.inputs),
                                        rest_infos(info.outputs));
  co_return co_await exchange.json(std::move(body));
}

Task<bool> model_infer(HttpExchange& exchange, Caller caller, oip::ModelPath path) {
  const HttpRequest& request = exchange.request();
  Result<oip::RestInfer> parsed =
      oip::parse_infer(request.body, request.json_length, exchange.max_body());
  if (!parsed) {
    co_return co_await exchange.fail(parsed.error());
  }
  Result<std::vector<runtime::Tensor>> inputs = engine_tensors(std::move(parsed->inputs));
  if (!inputs) {
    co_return co_await exchange.fail(inputs.error());
  }
  std::vector<std::string> outputs;
  for (const oip::RestOutput& output : parsed->outputs) {
    outputs.push_back(output.name);
  }
  CallOptions call;
  call.reference = path.reference();
  call.request_id = exchange.id();
  call.watch = std::make_shared<CallWatch>();
  const std::shared_ptr<CallWatch> watch = call.watch;
  auto work = exchange.parts().inference.infer(
      std::move(caller), std::move(call), *std::move(inputs), std::move(outputs));
  std::optional<Result<Inference::InferAnswer>> answer =
      co_await exchange.watched(std::move(work), watch);
  if (!answer) {
    co_return false;
  }
  if (!*answer) {
    co_return co_await exchange.fail(answer->error());
  }
  Result<oip::RestAnswer> body =
      oip::infer_body(*parsed,
                      path.model,
                      (*answer)->model->version(),
                      rest_tensors(std::move((*answer)->tensors.outputs)));
  if (!body) {
    co_return co_await exchange.fail_with(400, body.error());
  }
  HttpHeaders headers;
  std::string_view type = kJsonType;
  if (body->json_length) {
    headers.emplace_back("inference-header-content-length", std::to_string(*body->json_length));
    type = "application/octet-stream";
  }
  co_return co_await exchange.answer(200, type, std::move(body->body), std::move(headers));
}

Task<bool> wrong_method(HttpExchange& exchange) {
  const HttpRequest& request = exchange.request();
  const Error refused(Error::Code::kInvalidArgument,
                      request.method + " is not offered for " + request.path);
  co_return co_await exchange.fail_with(405, refused);
}

}  // namespace

Task<bool> oip_server(HttpExchange& exchange, Caller) {
  co_return co_await exchange.json(oip::server_body(SKERRY_VERSION));
}

Task<bool> oip_model_get(HttpExchange& exchange, Caller caller) {
  Result<oip::ModelPath> path = oip::parse_model_path(exchange.request().path);
  if (!path) {
    co_return co_await exchange.fail(path.error());
  }
  if (path->action == "infer") {
    co_return co_await wrong_method(exchange);
  }
  if (path->action == "ready") {
    co_return co_await model_ready(exchange, std::move(caller), *std::move(path));
  }
  co_return co_await model_metadata(exchange, std::move(caller), *std::move(path));
}

Task<bool> oip_model_post(HttpExchange& exchange, Caller caller) {
  Result<oip::ModelPath> path = oip::parse_model_path(exchange.request().path);
  if (!path) {
    co_return co_await exchange.fail(path.error());
  }
  if (path->action != "infer") {
    co_return co_await wrong_method(exchange);
  }
  co_return co_await model_infer(exchange, std::move(caller), *std::move(path));
}

Task<bool> oip_index(HttpExchange& exchange, Caller caller) {
  const HttpParts& parts = exchange.parts();
  std::vector<oip::IndexEntry> entries;
  for (const ServedModelPtr& model : parts.host.served()) {
    security::Resource resource;
    resource.model = model->name();
    resource.variant = model->variant.name;
    if (parts.access.decide(caller.principal, security::Verb::kList, resource).allowed) {
      oip::IndexEntry entry;
      entry.name = model->name();
      entry.version = model->version();
      entries.push_back(std::move(entry));
    }
  }
  co_return co_await exchange.json(oip::index_body(entries));
}

Task<bool> oip_repository(HttpExchange& exchange, Caller caller) {
  HttpParts& parts = exchange.parts();
  Result<oip::ModelPath> path = oip::parse_repository_path(exchange.request().path);
  if (!path) {
    co_return co_await exchange.fail(path.error());
  }
  const bool load = path->action == "load";
  const security::Verb verb = load ? security::Verb::kLoad : security::Verb::kUnload;
  const char* const action = load ? "model.load" : "model.unload";
  Result<ServedModelPtr> model =
      co_await parts.inference.find(std::move(caller), path->model, verb, action);
  if (!model) {
    co_return co_await exchange.fail(model.error());
  }
  if (load) {
    Result<ModelHost::Lease> lease = co_await parts.host.acquire(*model);
    if (!lease) {
      co_return co_await exchange.fail(lease.error());
    }
  } else {
    co_await parts.host.unload(*model);
  }
  std::string body("{}");
  co_return co_await exchange.json(std::move(body));
}

}  // namespace skerry::agent
