#include "kserve_grpc.hpp"

#include <utility>

#include "call.hpp"

namespace skerry::agent {
grpc::ServerUnaryReactor* KserveGrpc::ServerLive(grpc::CallbackServerContext* context,
                                                 const ::inference::ServerLiveRequest*,
                                                 ::inference::ServerLiveResponse* response) {
  response->set_live(true);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* KserveGrpc::ServerReady(grpc::CallbackServerContext* context,
                                                  const ::inference::ServerReadyRequest*,
                                                  ::inference::ServerReadyResponse* response) {
  response->set_ready(true);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* KserveGrpc::ModelReady(grpc::CallbackServerContext* context,
                                                 const ::inference::ModelReadyRequest* request,
                                                 ::inference::ModelReadyResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "oip.model_ready",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<ServedModelPtr> model = co_await inference_.find(
                         std::move(caller),
                         oip_reference(request->name(), request->version()),
                         security::Verb::kList,
                         "oip.model_ready");
                     const bool absent =
                         !model && (model.error().code() == Error::Code::kNotFound ||
                                    model.error().code() == Error::Code::kFailedPrecondition);
                     if (!model && !absent) {
                       co_return to_status(model.error());
                     }
                     // An active model is ready: it is loaded when the first request comes.
                     response->set_ready(model.has_value());
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* KserveGrpc::ServerMetadata(
    grpc::CallbackServerContext* context,
    const ::inference::ServerMetadataRequest*,
    ::inference::ServerMetadataResponse* response) {
  response->set_name("skerry");
  response->set_version(SKERRY_VERSION);
  // Triton's names for them.
  for (const char* const extension : {"model_repository",
                                      "model_repository(unload_dependents)",
                                      "model_configuration",
                                      "statistics",
                                      "system_shared_memory"}) {
    response->add_extensions(extension);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* KserveGrpc::ModelMetadata(
    grpc::CallbackServerContext* context,
    const ::inference::ModelMetadataRequest* request,
    ::inference::ModelMetadataResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "oip.model_metadata",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<ServedModelPtr> model = co_await inference_.find(
                         std::move(caller),
                         oip_reference(request->name(), request->version()),
                         security::Verb::kList,
                         "oip.model_metadata");
                     if (!model) {
                       co_return to_status(model.error());
                     }
                     // Shapes and types are the engine's to say, so the model is loaded for them.
                     Result<ModelHost::Lease> lease = co_await host_.acquire(*model);
                     if (!lease) {
                       co_return to_status(lease.error());
                     }
                     const runtime::ModelInfo& info = lease->model().info();
                     response->set_name((*model)->name());
                     response->add_versions((*model)->version());
                     response->set_platform(info.plugin + "_" + info.architecture);
                     (*response->mutable_properties())["variant"] = (*model)->variant.name;
                     (*response->mutable_properties())["model_digest"] =
                         (*model)->weights.to_string();
                     const auto fill = [](const std::vector<runtime::TensorInfo>& from, auto* to) {
                       for (const runtime::TensorInfo& tensor : from) {
                         auto& out = *to->Add();
                         out.set_name(tensor.name);
                         out.set_datatype(std::string(to_string(tensor.type)));
                         out.mutable_shape()->Add(tensor.shape.begin(), tensor.shape.end());
                       }
                     };
                     fill(info.inputs, response->mutable_inputs());
                     fill(info.outputs, response->mutable_outputs());
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* KserveGrpc::ModelInfer(grpc::CallbackServerContext* context,
                                                 const ::inference::ModelInferRequest* request,
                                                 ::inference::ModelInferResponse* response) {
  CallOptions call;
  call.timeout = time_left(*context);
  call.watch = std::make_shared<CallWatch>();
  return run_unary(
      core_,
      peers_,
      context,
      "oip.model_infer",
      [this, request, response, call](Caller caller) -> Task<grpc::Status> {
        Result<void> done = co_await calls_.infer(std::move(caller), call, request, response);
        co_return done ? grpc::Status::OK : to_status(done.error());
      },
      call.watch);
}

}  // namespace skerry::agent
