#include "skerry/runtime/supervisor.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include "model_host.hpp"

namespace skerry::runtime {
namespace {

namespace asio = boost::asio;

class LoadedModelHandle final : public LoadedModel {
 public:
  explicit LoadedModelHandle(std::shared_ptr<ModelHost> host) : host_(std::move(host)) {}
  ~LoadedModelHandle() override {
    const auto& executor = host_->context()->executor;
    asio::post(executor, [host = host_] {
      spawn_counted(host->context(), host->unload(std::chrono::milliseconds{0}));
    });
  }
  LoadedModelHandle(const LoadedModelHandle&) = delete;
  LoadedModelHandle& operator=(const LoadedModelHandle&) = delete;

  [[nodiscard]] const ModelInfo& info() const override { return host_->info(); }
  [[nodiscard]] WorkerStatus status() const override { return host_->status(); }

  RequestHandle submit(Request request, EventSink sink) override {
    const RequestKey key = host_->next_key();
    const auto& executor = host_->context()->executor;
    asio::post(executor,
               [host = host_, key, request = std::move(request), sink = std::move(sink)]() mutable {
                 host->submit(key, std::move(request), std::move(sink));
               });
    return RequestHandle{[weak = std::weak_ptr{host_}, key] {
      const auto host = weak.lock();
      if (host) {
        asio::post(host->context()->executor, [host, key] { host->cancel(key); });
      }
    }};
  }

  Task<void> unload(std::chrono::milliseconds grace) override { return host_->unload(grace); }

 private:
  std::shared_ptr<ModelHost> host_;
};

// Ends the worker of a load that nobody waits for any more.
class AbandonUnlessKept {
 public:
  explicit AbandonUnlessKept(std::shared_ptr<ModelHost> host) : host_(std::move(host)) {}
  ~AbandonUnlessKept() {
    if (host_) {
      host_->abandon();
    }
  }
  AbandonUnlessKept(const AbandonUnlessKept&) = delete;
  AbandonUnlessKept& operator=(const AbandonUnlessKept&) = delete;
  void keep() { host_.reset(); }

 private:
  std::shared_ptr<ModelHost> host_;
};

class SupervisorImpl final : public Supervisor {
 public:
  SupervisorImpl(asio::any_io_executor executor,
                 SupervisorOptions options,
                 const Clock& clock,
                 Log log)
      : context_(std::make_shared<SupervisorContext>(
            std::move(executor), std::move(options), clock, std::move(log))) {}

  ~SupervisorImpl() override {
    for (const auto& weak : hosts_) {
      if (const auto host = weak.lock()) {
        host->abandon();
      }
    }
  }
  SupervisorImpl(const SupervisorImpl&) = delete;
  SupervisorImpl& operator=(const SupervisorImpl&) = delete;

  Task<Result<std::shared_ptr<LoadedModel>>> load(LoadSpec spec) override {
    auto host = std::make_shared<ModelHost>(context_, std::move(spec));
    std::erase_if(hosts_, [](const auto& weak) { return weak.expired(); });
    hosts_.push_back(host);
    AbandonUnlessKept guard(host);
    const auto ready = co_await host->load();
    if (!ready) {
      co_return ready.error();
    }
    guard.keep();
    std::shared_ptr<LoadedModel> model = std::make_shared<LoadedModelHandle>(host);
    std::erase_if(models_, [](const auto& weak) { return weak.expired(); });
    models_.push_back(model);
    co_return std::move(model);
  }

  [[nodiscard]] std::vector<std::shared_ptr<LoadedModel>> models() const override {
    std::vector<std::shared_ptr<LoadedModel>> alive;
    for (const auto& weak : models_) {
      if (auto model = weak.lock()) {
        alive.push_back(std::move(model));
      }
    }
    return alive;
  }

  Task<void> stop(std::chrono::milliseconds grace) override {
    for (const auto& weak : hosts_) {
      if (const auto host = weak.lock()) {
        spawn_counted(context_, host->unload(grace));
      }
    }
    while (context_->tasks > 0) {
      co_await context_->changed.wait();
    }
  }

 private:
  std::shared_ptr<SupervisorContext> context_;
  std::vector<std::weak_ptr<ModelHost>> hosts_;
  std::vector<std::weak_ptr<LoadedModel>> models_;
};

}  // namespace

std::unique_ptr<Supervisor> Supervisor::make(asio::any_io_executor executor,
                                             SupervisorOptions options,
                                             const Clock& clock,
                                             Log log) {
  return std::make_unique<SupervisorImpl>(
      std::move(executor), std::move(options), clock, std::move(log));
}

}  // namespace skerry::runtime
