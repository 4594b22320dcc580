#pragma once

// The daemon's shelf of prefixes: PrefixStore on the disk's threads, for the supervisor, which runs
// on the control thread. Off where the budget is 0 or there is no key. ADR 0103.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "skerry/agent/core.hpp"
#include "skerry/agent/notifier.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/runtime/prefix_shelf.hpp"

#include "prefix_store.hpp"

namespace skerry::agent {

class DiskPrefixShelf final : public runtime::PrefixShelf {
 public:
  // `store_key`, if there is one, encrypts the files; otherwise a key beside them vouches for them.
  // `store` says which models are there. All outlive it.
  DiskPrefixShelf(Core& core, registry::BlobStore& store, const registry::StoreKey* store_key);

  [[nodiscard]] std::uint64_t largest() const override;
  Task<void> save(Digest model, runtime::PrefixState state, runtime::PrefixBytes bytes) override;
  Task<std::optional<Found>> find(Digest model,
                                  std::string format,
                                  std::vector<Digest> names) override;
  void hold(const Digest& model, const Digest& name) override;
  void drop(const Digest& model, const Digest& name) override;

  // Reads what an earlier life kept; until then `find` waits. Once, at the start.
  Task<void> open();
  // The models that are here may have changed.
  void models_changed();

  [[nodiscard]] PrefixStore::Counts counts() const;

 private:
  Task<void> retain();

  Core& core_;
  registry::BlobStore& blobs_;
  std::filesystem::path folder_;
  std::unique_ptr<PrefixStore> store_;  // null: off
  Notifier changed_;
  bool opened_ = false;
};

}  // namespace skerry::agent
