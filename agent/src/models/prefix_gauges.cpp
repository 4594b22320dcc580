#include "prefix_gauges.hpp"

namespace skerry::agent {

PrefixDiskGauges prefix_disk_gauges(const PrefixStore::Counts& counts) {
  return {.hits = counts.hits,
          .misses = counts.misses,
          .saved = counts.saved,
          .dropped = counts.dropped,
          .bytes = counts.bytes,
          .limit = counts.budget,
          .states = counts.states,
          .pinned = counts.pinned,
          .resting = counts.resting};
}

std::vector<PinnedPromptGauges> pinned_prompt_gauges(const ModelHost& host) {
  std::vector<PinnedPromptGauges> list;
  for (const ModelHost::Loaded& loaded : host.loaded()) {
    const std::vector<runtime::PinStatus> pins = host.prompts(*loaded.served);
    if (pins.empty()) {
      continue;
    }
    PinnedPromptGauges& sums = list.emplace_back();
    sums.model = loaded.served->name();
    for (const runtime::PinStatus& pin : pins) {
      const bool ready = pin.state == runtime::PinState::kReady;
      sums.computing += pin.state == runtime::PinState::kWaiting ? 1U : 0U;
      sums.failed += pin.state == runtime::PinState::kFailed ? 1U : 0U;
      sums.ready += ready ? 1U : 0U;
      sums.tokens += ready ? pin.tokens : 0U;
    }
  }
  return list;
}

}  // namespace skerry::agent
