#include "models_grpc.hpp"

#include <utility>

#include "call.hpp"
#include "model_text.hpp"

namespace skerry::agent {
namespace models_pb = skerry::models::v1;

// Two messages at most: that loading began, and the loaded model.
class ModelsGrpc::LoadReactor final : public grpc::ServerWriteReactor<models_pb::LoadProgress>,
                                      public std::enable_shared_from_this<LoadReactor> {
 public:
  explicit LoadReactor(Core& core) : core_(core) {}

  void keep() { self_ = shared_from_this(); }
  void begin() {
    progress_.set_phase("loading");
    writing_ = true;
    StartWrite(&progress_);
  }
  void end(models_pb::LoadProgress last) {
    last_ = std::move(last);
    has_last_ = true;
    next();
  }
  void fail(const grpc::Status& status) {
    status_ = status;
    ended_ = true;
    next();
  }
  void OnWriteDone(bool ok) override {
    boost::asio::post(core_.control, [self = shared_from_this(), ok] {
      self->writing_ = false;
      self->ended_ = self->ended_ || !ok;
      self->next();
    });
  }
  void OnDone() override {
    boost::asio::post(core_.control, [self = std::move(self_)] {});
  }

 private:
  void next() {
    if (writing_ || finished_) {
      return;
    }
    if (has_last_ && !ended_) {
      has_last_ = false;
      ended_ = true;
      writing_ = true;
      StartWrite(&last_);
      return;
    }
    if (ended_) {
      finished_ = true;
      Finish(status_);
    }
  }

  Core& core_;
  std::shared_ptr<LoadReactor> self_;
  models_pb::LoadProgress progress_;
  models_pb::LoadProgress last_;
  grpc::Status status_;
  bool writing_ = false;
  bool has_last_ = false;
  bool ended_ = false;
  bool finished_ = false;
};

grpc::ServerUnaryReactor* ModelsGrpc::ListModels(grpc::CallbackServerContext* context,
                                                 const models_pb::ListModelsRequest*,
                                                 models_pb::ListModelsResponse* response) {
  return run_unary(
      core_, peers_, context, "list_models", [this, response](Caller caller) -> Task<grpc::Status> {
        for (const ServedModelPtr& model : host_.served()) {
          security::Resource resource;
          resource.model = model->name();
          resource.variant = model->variant.name;
          if (access_.decide(caller.principal, security::Verb::kList, resource).allowed) {
            fill_model(host_, *model, response->add_models());
          }
        }
        co_return grpc::Status::OK;
      });
}

grpc::ServerUnaryReactor* ModelsGrpc::GetModel(grpc::CallbackServerContext* context,
                                               const models_pb::GetModelRequest* request,
                                               models_pb::Model* response) {
  return run_unary(core_,
                   peers_,
                   context,
                   "get_model",
                   [this, request, response](Caller caller) -> Task<grpc::Status> {
                     Result<ServedModelPtr> model = co_await inference_.find(
                         std::move(caller), request->model(), security::Verb::kList, "model.get");
                     if (!model) {
                       co_return to_status(model.error());
                     }
                     fill_model(host_, **model, response);
                     co_return grpc::Status::OK;
                   });
}

grpc::ServerWriteReactor<models_pb::LoadProgress>* ModelsGrpc::LoadModel(
    grpc::CallbackServerContext* context, const models_pb::LoadModelRequest* request) {
  auto reactor = std::make_shared<LoadReactor>(core_);
  reactor->keep();
  Result<Caller> caller = peers_.find(context->peer());
  if (!caller) {
    reactor->Finish(to_status(caller.error()));
    return reactor.get();
  }
  boost::asio::post(
      core_.control,
      [this, reactor, reference = request->model(), caller = *std::move(caller)]() mutable {
        core_.tasks.spawn("load_model", load(std::move(caller), std::move(reference), reactor));
      });
  return reactor.get();
}

Task<void> ModelsGrpc::load(Caller caller,
                            std::string reference,
                            std::shared_ptr<LoadReactor> reactor) {
  Result<ServedModelPtr> model = co_await inference_.find(
      std::move(caller), std::move(reference), security::Verb::kLoad, "model.load");
  if (!model) {
    reactor->fail(to_status(model.error()));
    co_return;
  }
  reactor->begin();
  Result<ModelHost::Lease> lease = Error(Error::Code::kCancelled, "the daemon is stopping");
  try {
    lease = co_await host_.acquire(*model);
  } catch (...) {
    reactor->fail(to_status(lease.error()));
    throw;
  }
  if (!lease) {
    reactor->fail(to_status(lease.error()));
    co_return;
  }
  models_pb::LoadProgress last;
  last.set_phase("ready");
  last.set_fraction(1.0);
  fill_model(host_, **model, last.mutable_model());
  reactor->end(std::move(last));
}

grpc::ServerUnaryReactor* ModelsGrpc::UnloadModel(grpc::CallbackServerContext* context,
                                                  const models_pb::UnloadModelRequest* request,
                                                  models_pb::UnloadModelResponse* response) {
  return run_unary(
      core_,
      peers_,
      context,
      "unload_model",
      [this, request, response](Caller caller) -> Task<grpc::Status> {
        Result<ServedModelPtr> model = co_await inference_.find(
            std::move(caller), request->model(), security::Verb::kUnload, "model.unload");
        if (!model) {
          co_return to_status(model.error());
        }
        response->set_was_loaded(co_await host_.unload(*model));
        co_return grpc::Status::OK;
      });
}

}  // namespace skerry::agent
