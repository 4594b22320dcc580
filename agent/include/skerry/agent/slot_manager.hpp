#pragma once

// Drives one activation machine per slot: performs its actions, journals its record before each
// side effect, keeps its deadlines, feeds outcomes back. Slots are independent: each has a task of
// its own, and none waits for another or for the network. Control thread.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "skerry/agent/activation.hpp"
#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/caller.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/installer.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/notifier.hpp"
#include "skerry/async/task.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent {

// One slot as status, reports and the console show it.
struct SlotView {
  std::string slot;
  activation::Record record;
  registry::FetchProgress progress;
};

class SlotManager {
 public:
  SlotManager(Core& core, Installer& installer, ModelHost& host, AuditWriter& audit);
  ~SlotManager();

  // Told of every change worth reporting.
  using OnReport = std::function<void(const SlotView&)>;
  void on_report(OnReport callback) { on_report_ = std::move(callback); }
  // Where offers of the controller are fetched from; null while there is none: fetching waits.
  void set_source(std::shared_ptr<ModelSource> source);
  [[nodiscard]] std::shared_ptr<ModelSource> source() const { return source_; }
  // Where offers of that bundle are fetched from; one that is not set is not plugged in.
  void set_bundle(const std::string& id, std::shared_ptr<ModelSource> source);

  // Reads the journal and continues every slot where it was. Call once, before any offer; the
  // drivers run until `stop`.
  Task<Result<void>> restore();

  // From the controller, a bundle or an administrator; an old generation is ignored.
  void offer(const std::string& slot, const activation::Offer& offer);

  // An administrator's own wish: an imported model in a slot that no director directs. Gives it the
  // slot's next generation, above `highest` too, and waits until it is live, on trial or refused.
  // kFailedPrecondition if the slot is directed or busy.
  Task<Result<SlotView>> offer_local(std::string slot,
                                     activation::Offer offer,
                                     std::uint64_t highest);

  // Ends every driver and its work; for the end of the daemon, before workers are stopped (a gate
  // that loses its worker would blame the model). The next start resumes.
  Task<void> stop();

  // The slot's model answered a request; its worker died.
  void served(const std::string& slot, const Digest& weights);
  void worker_exited(const runtime::WorkerExit& exit);

  struct RollbackOutcome {
    std::chrono::microseconds commit{0};
  };
  // Makes the previous generation active; returns after the commit. Audited: intent and outcome.
  Task<Result<RollbackOutcome>> rollback(Caller caller, std::string slot);

  // Ends every active model that a revocation says must stop: the slot goes back to the generation
  // before it, if that may run, or becomes empty. Also tells, once, which models are revoked with a
  // weaker effect. Call after each change of the revocations; runs on its own.
  void enforce();

  [[nodiscard]] std::vector<SlotView> views() const;
  // Highest generation seen, by slot: for the device's hello.
  [[nodiscard]] std::map<std::string, std::uint64_t> generations() const;
  // Blobs of the models that workers hold: nothing that makes room takes them.
  [[nodiscard]] std::set<Digest> leased_blobs() const { return host_.leased_blobs(); }

 private:
  struct Driver;
  Result<void> check_previous(const SlotName& slot);
  Result<registry::Slot> leave_trial(const SlotName& slot, std::string reason);
  Task<void> enforce_all();
  Task<bool> end_revoked(ServedModelPtr model, Error why);
  Task<void> tell_revoked(ServedModelPtr model, std::string what);
  Driver& driver(const std::string& slot);

  Core& core_;
  Installer& installer_;
  ModelHost& host_;
  AuditWriter& audit_;
  OnReport on_report_;
  std::shared_ptr<ModelSource> source_;
  // The bundle imported last: a stick at a time.
  std::string bundle_;
  std::shared_ptr<ModelSource> bundle_source_;
  std::map<std::string, std::unique_ptr<Driver>> drivers_;
  Notifier source_changed_;
  bool enforcing_ = false;
  bool enforce_again_ = false;
  // Manifest and revocation that were told of.
  std::set<std::string> told_;
  // The drivers and their work.
  async::TaskGroup tasks_;
};

}  // namespace skerry::agent
