#pragma once

// A model that a worker holds, is getting or is letting go. Private to ModelHost.

#include <chrono>
#include <optional>
#include <string>

#include "skerry/agent/memory_ledger.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/registry/pinned_prompts.hpp"

namespace skerry::agent {

struct ModelHost::Entry {
  explicit Entry(ServedModelPtr candidate) : served(std::move(candidate)) {}
  ServedModelPtr served;
  std::shared_ptr<runtime::LoadedModel> model;
  std::optional<Error> failed;
  // Why nothing is pinned although the manifest says so.
  std::string prompts_problem;
  bool loading = true;
  bool draining = false;
  std::uint64_t memory = 0;
  std::uint64_t leases = 0;
  BootTime last_used{};
  UseRate uses;
  std::chrono::nanoseconds load_time{};
  // To tell the host that a lease went; null once the host is gone.
  ModelHost* host = nullptr;
};

// Models with the same weights in the same engine share a worker, if the same prompts are pinned.
inline std::string worker_key(const ServedModel& model) {
  std::string key = model.variant.needs.runtime + "/" + model.weights.hex();
  if (const auto* prompts = registry::pinned_prompts_of(model.manifest->manifest)) {
    key.append("/").append(prompts->digest.hex());
  }
  return key;
}

}  // namespace skerry::agent
