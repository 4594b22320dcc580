#pragma once

// What this gateway serves now, and the workers that hold it: reads the active variants from the
// catalogue, resolves the references that apps use, loads a variant on first use within the memory
// ledger, keeps it, swaps it. Runs on the control thread; disk work is handed off.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "skerry/agent/core.hpp"
#include "skerry/agent/notifier.hpp"
#include "skerry/async/task.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/model_reference.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent {

namespace upstream {
class Upstreams;
}  // namespace upstream

// One variant that can be served: a slot's active one, or a candidate in the gate (no slot).
// Immutable.
struct ServedModel {
  std::string slot;
  registry::SlotGeneration generation;
  std::shared_ptr<const registry::VerifiedManifest> manifest;
  registry::Variant variant;
  Digest weights;
  bool on_trial = false;
  // Memory for the decrypted copy of its files, where the store encrypts.
  std::uint64_t copy_bytes = 0;

  [[nodiscard]] std::string name() const { return manifest->manifest.model.to_string(); }
  [[nodiscard]] std::string version() const { return generation.version; }
  // What the ledger counts for it.
  [[nodiscard]] std::uint64_t memory() const;
};
using ServedModelPtr = std::shared_ptr<const ServedModel>;

// Builds the value for one variant of a verified manifest, in a store that encrypts or not;
// kManifestInvalid if it has no weights.
Result<ServedModelPtr> make_served_model(std::shared_ptr<const registry::VerifiedManifest> manifest,
                                         std::string_view variant,
                                         bool encrypts = false);

class ModelHost {
  struct Entry;

 public:
  // Keeps a loaded model in memory while it lives. Use and drop it on the control thread.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease();
    [[nodiscard]] runtime::LoadedModel& model() const;
    [[nodiscard]] const ServedModel& served() const { return *served_; }
    [[nodiscard]] const ServedModelPtr& served_ptr() const { return served_; }
    explicit operator bool() const { return entry_ != nullptr; }

   private:
    friend class ModelHost;
    Lease(std::shared_ptr<Entry> entry, ServedModelPtr served);
    void release();
    std::shared_ptr<Entry> entry_;
    ServedModelPtr served_;
  };

  ModelHost(Core& core,
            registry::Catalogue& catalogue,
            registry::BlobStore& store,
            runtime::Supervisor& supervisor,
            std::uint64_t budget);
  ~ModelHost();

  // Called after each refresh: health services show which models are there.
  void on_refresh(std::function<void()> callback) { on_refresh_ = std::move(callback); }

  // Asked before a model answers or is loaded: what it refuses is not served, whatever the slots
  // say.
  using Gate = std::function<Result<void>(const ServedModel&)>;
  void set_gate(Gate gate) { gate_ = std::move(gate); }

  // Where models of the runtime `openai` are answered; without it they cannot be loaded. Outlives
  // this.
  void use_upstreams(upstream::Upstreams& upstreams) { upstreams_ = &upstreams; }

  // Reads the slots again: at start and after each activation, rollback or deactivation. Models
  // that no slot names any more leave once their last request ended.
  Task<Result<void>> refresh();

  // kNotFound says what is active instead.
  [[nodiscard]] Result<ServedModelPtr> resolve(const registry::ModelReference& reference) const;
  [[nodiscard]] std::vector<ServedModelPtr> served() const;
  [[nodiscard]] ServedModelPtr in_slot(const std::string& slot) const;

  // Loads if needed. kOutOfMemory if the ledger, or the memory that the machine has left, cannot
  // hold it even after idle models were unloaded, those that are missed least first; `swap_out`
  // names a slot whose model may be drained to make room.
  Task<Result<Lease>> acquire(ServedModelPtr model, std::string swap_out);
  Task<Result<Lease>> acquire(ServedModelPtr model) {
    return acquire(std::move(model), std::string());
  }

  // True if it was loaded. Waits for its requests.
  Task<bool> unload(ServedModelPtr model);

  struct Loaded {
    ServedModelPtr served;
    std::shared_ptr<runtime::LoadedModel> model;
    std::uint64_t memory = 0;
    std::uint64_t leases = 0;
  };
  [[nodiscard]] std::vector<Loaded> loaded() const;
  [[nodiscard]] bool is_loaded(const ServedModel& model) const;
  // Facts of the loaded model, or null.
  [[nodiscard]] const runtime::ModelInfo* info(const ServedModel& model) const;
  // The prompts that the operator pinned with it, as its worker has them; none before it is loaded.
  [[nodiscard]] std::vector<runtime::PinStatus> prompts(const ServedModel& model) const;
  [[nodiscard]] std::uint64_t budget() const { return budget_; }
  [[nodiscard]] std::uint64_t used() const;
  // The slot whose active model has these weights; empty if none.
  [[nodiscard]] std::string slot_of(const Digest& weights) const;
  // Blobs that workers hold, which the garbage collector must leave.
  [[nodiscard]] std::set<Digest> leased_blobs() const;

  // Unloads what was idle for longer than runtime.idle_unload, if that is set.
  Task<void> run();

  // Loads what memory.preload names, at start and whenever its slot gets another model.
  Task<void> preload();

 private:
  Task<Result<std::shared_ptr<runtime::LoadedModel>>> load(ServedModelPtr model);
  Task<std::vector<runtime::PinnedPrompt>> pinned_prompts(ServedModelPtr model);
  // A server answers for it, once one is well that has the model.
  Task<Result<std::shared_ptr<runtime::LoadedModel>>> reach(ServedModelPtr model);
  Task<Result<void>> make_room(ServedModelPtr model, std::string swap_out);
  // What is missing in the ledger, which counts the new model already, or in the machine.
  Task<std::uint64_t> shortfall(ServedModelPtr model);
  [[nodiscard]] ServedModelPtr next_to_leave(std::uint64_t bytes,
                                             const std::string& swap_out) const;
  [[nodiscard]] bool is_pinned(const std::string& key) const;
  void drop_unused();

  Core& core_;
  registry::Catalogue& catalogue_;
  registry::BlobStore& store_;
  runtime::Supervisor& supervisor_;
  upstream::Upstreams* upstreams_ = nullptr;
  std::uint64_t budget_;
  std::map<std::string, ServedModelPtr> slots_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
  Notifier changed_;
  Notifier refreshed_;
  std::uint64_t refreshes_ = 0;
  std::function<void()> on_refresh_;
  Gate gate_;
};

}  // namespace skerry::agent
