#pragma once

// What the daemon keeps in its state folder, opened as one: catalogue, blobs, policy, tokens, audit
// log, outbox. Used by daemon.cpp alone.

#include <memory>
#include <optional>
#include <string>

#include "skerry/agent/core.hpp"
#include "skerry/agent/device_time.hpp"
#include "skerry/agent/outbox.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/store_key.hpp"
#include "skerry/security/audit_log.hpp"
#include "skerry/security/policy_store.hpp"
#include "skerry/security/token_store.hpp"

#include "state_dir.hpp"

namespace skerry::agent {

// Opened in this order and closed in the other.
struct StoredState {
  std::optional<StateDir> dir;
  std::shared_ptr<const security::Signer> audit_key;
  std::unique_ptr<registry::Catalogue> catalogue;
  // Before the audit log, which asks it.
  std::unique_ptr<DeviceTime> time;
  std::unique_ptr<registry::BlobStore> store;
  std::shared_ptr<const registry::StoreKey> store_key;  // null: the store does not encrypt
  std::unique_ptr<security::PolicyStore> policy;
  std::unique_ptr<security::TokenStore> tokens;
  std::unique_ptr<security::AuditLog> audit;
  std::unique_ptr<Outbox> outbox;
};

// Blocks for recovery after a crash. Fails with what could not be opened, by name; kUnavailable if
// another daemon has the folder.
Result<StoredState> open_state(Core& core);

// Takes the policy document that the configuration names; nothing to do without a name.
Result<void> load_policy_file(FileSystem& fs,
                              security::PolicyStore& store,
                              const std::string& file);

}  // namespace skerry::agent
