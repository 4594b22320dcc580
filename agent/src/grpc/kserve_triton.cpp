// What Triton adds to the Open Inference Protocol: streams, configuration, statistics, the
// repository, system shared memory.

#include <set>
#include <utility>

#include "call.hpp"
#include "kserve_config.hpp"
#include "kserve_grpc.hpp"
#include "kserve_stream.hpp"

namespace skerry::agent {
namespace {

// There is one repository here, and it has no name.
Result<void> check_repository(const std::string& name) {
  if (!name.empty()) {
    return Error{Error::Code::kNotFound,
                 "repository_name: there is no repository \"" + name +
                     "\"; leave it empty, a gateway has one"};
  }
  return {};
}

template <class Request>
Result<void> check_load(const Request& request, bool load) {
  if (Result<void> checked = check_repository(request.repository_name()); !checked) {
    return checked.error();
  }
  for (const auto& [name, value] : request.parameters()) {
    // Models have no dependents here.
    if (load || name != "unload_dependents") {
      return Error{
          Error::Code::kInvalidArgument,
          "parameter " + name + ": is not offered; configuration and files of a model are signed"};
    }
  }
  return {};
}

}  // namespace

bool KserveGrpc::may_list(const Caller& caller, const ServedModel& model) const {
  security::Resource resource;
  resource.model = model.name();
  resource.variant = model.variant.name;
  return access_.decide(caller.principal, security::Verb::kList, resource).allowed;
}

grpc::ServerBidiReactor<::inference::ModelInferRequest, ::inference::ModelStreamInferResponse>*
KserveGrpc::ModelStreamInfer(grpc::CallbackServerContext* context) {
  const std::shared_ptr<KserveStream> stream = KserveStream::make(core_, calls_, context);
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller) {
    stream->refuse(to_status(caller.error()));
    return stream.get();
  }
  boost::asio::post(core_.control, [stream, caller = *std::move(caller)]() mutable {
    stream->begin(std::move(caller));
  });
  return stream.get();
}

grpc::ServerUnaryReactor* KserveGrpc::ModelConfig(grpc::CallbackServerContext* context,
                                                  const ::inference::ModelConfigRequest* request,
                                                  ::inference::ModelConfigResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "oip.model_config",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<ServedModelPtr> model = co_await inference_.find(
                         std::move(caller),
                         oip_reference(request->name(), request->version()),
                         security::Verb::kList,
                         "oip.model_config");
                     if (!model) {
                       co_return to_status(model.error());
                     }
                     // Shapes and types are the engine's to say, so the model is loaded for them.
                     Result<ModelHost::Lease> lease = co_await host_.acquire(*model);
                     if (!lease) {
                       co_return to_status(lease.error());
                     }
                     response->mutable_config()->set_name((*model)->name());
                     fill_config(lease->model().info(), response->mutable_config());
                     co_return grpc::Status::OK;
                   });
}

void KserveGrpc::add_statistics(const ServedModel& model,
                                ::inference::ModelStatisticsResponse& out) const {
  ::inference::ModelStatistics& statistics = *out.add_model_stats();
  statistics.set_name(model.name());
  statistics.set_version(model.version());
  const auto& counted = inference_.metrics().models();
  if (const auto figures = counted.find(model.name()); figures != counted.end()) {
    fill_statistics(figures->second, &statistics);
  } else {
    fill_statistics(ModelMetrics{}, &statistics);
  }
  if (const runtime::ModelInfo* const info = host_.info(model); info != nullptr) {
    ::inference::MemoryUsage& memory = *statistics.add_memory_usage();
    memory.set_type("CPU");
    memory.set_byte_size(info->memory.total());
  }
}

grpc::ServerUnaryReactor* KserveGrpc::ModelStatistics(
    grpc::CallbackServerContext* context,
    const ::inference::ModelStatisticsRequest* request,
    ::inference::ModelStatisticsResponse* response) {
  return run_unary(
      core_,
      peers_,
      context,
      "oip.model_statistics",
      [this, request, response](Caller caller) -> Task<grpc::Status> {
        // The figures are those of /metrics, and so is the right to read them.
        security::Resource none;
        Result<security::Decision> allowed = co_await access_.authorise(
            caller, security::Verb::kMetricsRead, std::move(none), "oip.model_statistics");
        if (!allowed) {
          co_return to_status(allowed.error());
        }
        if (!request->name().empty()) {
          Result<ServedModelPtr> model =
              co_await inference_.find(std::move(caller),
                                       oip_reference(request->name(), request->version()),
                                       security::Verb::kList,
                                       "oip.model_statistics");
          if (!model) {
            co_return to_status(model.error());
          }
          add_statistics(**model, *response);
          co_return grpc::Status::OK;
        }
        // Counted by name: a model in two slots is told once.
        std::set<std::string> told;
        for (const ServedModelPtr& model : host_.served()) {
          if (may_list(caller, *model) && told.insert(model->name()).second) {
            add_statistics(*model, *response);
          }
        }
        co_return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* KserveGrpc::RepositoryIndex(
    grpc::CallbackServerContext* context,
    const ::inference::RepositoryIndexRequest* request,
    ::inference::RepositoryIndexResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "oip.repository_index",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     if (Result<void> checked = check_repository(request->repository_name());
                         !checked) {
                       co_return to_status(checked.error());
                     }
                     // An active model is ready: it is loaded when the first request comes.
                     for (const ServedModelPtr& model : host_.served()) {
                       if (may_list(caller, *model)) {
                         auto& entry = *response->add_models();
                         entry.set_name(model->name());
                         entry.set_version(model->version());
                         entry.set_state("READY");
                       }
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* KserveGrpc::RepositoryModelLoad(
    grpc::CallbackServerContext* context,
    const ::inference::RepositoryModelLoadRequest* request,
    ::inference::RepositoryModelLoadResponse*) {
  return run_unary(
      core_,
      peers_,
      context,
      "oip.repository_load",
      [this, request](Caller caller) -> Task<grpc::Status> {
        if (Result<void> checked = check_load(*request, true); !checked) {
          co_return to_status(checked.error());
        }
        Result<ServedModelPtr> model = co_await inference_.find(
            std::move(caller), request->model_name(), security::Verb::kLoad, "model.load");
        if (!model) {
          co_return to_status(model.error());
        }
        Result<ModelHost::Lease> lease = co_await host_.acquire(*model);
        co_return lease ? grpc::Status::OK : to_status(lease.error());
      });
}

grpc::ServerUnaryReactor* KserveGrpc::RepositoryModelUnload(
    grpc::CallbackServerContext* context,
    const ::inference::RepositoryModelUnloadRequest* request,
    ::inference::RepositoryModelUnloadResponse*) {
  return run_unary(
      core_,
      peers_,
      context,
      "oip.repository_unload",
      [this, request](Caller caller) -> Task<grpc::Status> {
        if (Result<void> checked = check_load(*request, false); !checked) {
          co_return to_status(checked.error());
        }
        Result<ServedModelPtr> model = co_await inference_.find(
            std::move(caller), request->model_name(), security::Verb::kUnload, "model.unload");
        if (!model) {
          co_return to_status(model.error());
        }
        co_await host_.unload(*model);
        co_return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* KserveGrpc::SystemSharedMemoryStatus(
    grpc::CallbackServerContext* context,
    const ::inference::SystemSharedMemoryStatusRequest* request,
    ::inference::SystemSharedMemoryStatusResponse* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "oip.shared_memory_status",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<std::vector<SharedRegions::Facts>> list =
                         calls_.regions().list(caller.principal, request->name());
                     if (!list) {
                       co_return to_status(list.error());
                     }
                     for (const SharedRegions::Facts& facts : *list) {
                       auto& status = (*response->mutable_regions())[facts.name];
                       status.set_name(facts.name);
                       status.set_key(facts.key);
                       status.set_offset(facts.offset);
                       status.set_byte_size(facts.bytes);
                     }
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerUnaryReactor* KserveGrpc::SystemSharedMemoryRegister(
    grpc::CallbackServerContext* context,
    const ::inference::SystemSharedMemoryRegisterRequest* request,
    ::inference::SystemSharedMemoryRegisterResponse*) {
  return run_unary(core_,
                   peers_,
                   context,
                   "oip.shared_memory_register",
                   [this, request](Caller caller) -> Task<grpc::Status> {
                     SharedRegions::Facts facts;
                     facts.name = request->name();
                     facts.key = request->key();
                     facts.offset = request->offset();
                     facts.bytes = request->byte_size();
                     const Result<void> added =
                         calls_.regions().add(caller.principal, std::move(facts));
                     co_return added ? grpc::Status::OK : to_status(added.error());
                   });
}

grpc::ServerUnaryReactor* KserveGrpc::SystemSharedMemoryUnregister(
    grpc::CallbackServerContext* context,
    const ::inference::SystemSharedMemoryUnregisterRequest* request,
    ::inference::SystemSharedMemoryUnregisterResponse*) {
  return run_unary(core_,
                   peers_,
                   context,
                   "oip.shared_memory_unregister",
                   [this, request](Caller caller) -> Task<grpc::Status> {
                     calls_.regions().remove(caller.principal, request->name());
                     co_return grpc::Status::OK;
                   });
}

}  // namespace skerry::agent
