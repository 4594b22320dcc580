#pragma once

// What administrators do with imported models, behind the gRPC service: decide, record the intent,
// do it on a disk thread, record the outcome. Vouching has a verb of its own. Control thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "skerry/agent/access.hpp"
#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/model_imports.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/async/task.hpp"

namespace skerry::agent {

class ImportAdministration {
 public:
  ImportAdministration(
      Core& core, Access& access, AuditWriter& audit, SlotManager& slots, ModelImports& imports)
      : core_(core), access_(access), audit_(audit), slots_(slots), imports_(imports) {}

  Task<Result<ModelImports::Plan>> plan(Caller caller, std::string manifest);
  // Whether the caller may put blobs of that model into the registry.
  Task<Result<void>> may_upload(Caller caller, std::string model);
  Task<Result<CatalogueEntry>> commit(Caller caller,
                                      std::string manifest,
                                      std::string source,
                                      std::string format);
  Task<Result<std::vector<CatalogueEntry>>> list(Caller caller);
  Task<Result<CatalogueEntry>> find(Caller caller, std::string reference);
  // With a bundle (model.sig) its signer vouches, if the configuration lists it; else the caller.
  Task<Result<CatalogueEntry>> vouch(Caller caller,
                                     std::string reference,
                                     std::string reason,
                                     std::string bundle);
  Task<Result<CatalogueEntry>> revoke(Caller caller, std::string reference, std::string reason);
  Task<Result<CatalogueEntry>> remove(Caller caller, std::string reference);
  // Keeps a signed model, or one variant of it, from garbage collection (model_pins.cpp).
  // kFailedPrecondition for an imported one, kNotFound if there is no such variant, or no such pin.
  Task<Result<CatalogueEntry>> pin(Caller caller,
                                   std::string reference,
                                   std::string variant,
                                   std::string reason);
  Task<Result<CatalogueEntry>> unpin(Caller caller, std::string reference, std::string variant);
  // The slot once the model is live or on trial there; the error that refused it otherwise.
  Task<Result<SlotView>> activate(Caller caller, std::string reference, std::string slot);

  [[nodiscard]] ModelImports& imports() { return imports_; }

 private:
  using Work = std::function<Result<CatalogueEntry>(const CatalogueEntry&, const std::string& who)>;
  // What somebody asks to do with one model.
  struct Act {
    security::Verb verb = security::Verb::kAdminModelsImport;
    // For a model whose vouches somebody ended; else as `verb`.
    std::optional<security::Verb> verb_if_revoked;
    std::string action;
    std::string reference;
    std::string reason;
    // For the audit record.
    Json::Object details;
  };
  // Finds the model, decides on its name, records intent and outcome around `work`.
  Task<Result<CatalogueEntry>> change(Caller caller, Act act, Work work);
  Task<Result<CatalogueEntry>> recorded(
      Caller caller,
      security::Decision decision,
      std::string action,
      security::AuditObject object,
      Json details,
      std::function<Result<CatalogueEntry>(const std::string& who)> work);

  // The highest generation that the slot saw, if the model may go live there. Blocks.
  Result<std::uint64_t> check_slot(const CatalogueEntry& entry, const std::string& slot);

  Core& core_;
  Access& access_;
  AuditWriter& audit_;
  SlotManager& slots_;
  ModelImports& imports_;
};

}  // namespace skerry::agent
