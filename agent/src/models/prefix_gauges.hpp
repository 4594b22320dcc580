#pragma once

// What status and metrics show of kept prefixes: those on disk, and the prompts that operators
// pinned with the models that are loaded. Control thread.

#include <vector>

#include "skerry/agent/metrics.hpp"
#include "skerry/agent/model_host.hpp"

#include "prefix_store.hpp"

namespace skerry::agent {

PrefixDiskGauges prefix_disk_gauges(const PrefixStore::Counts& counts);
// One for each loaded model that has any.
std::vector<PinnedPromptGauges> pinned_prompt_gauges(const ModelHost& host);

}  // namespace skerry::agent
