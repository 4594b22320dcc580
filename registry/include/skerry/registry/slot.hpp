#pragma once

// The value types of the catalogue that describe slots: what runs, what ran before, what is wanted
// and what happened. Agent and local API show them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/id.hpp"
#include "skerry/registry/model_reference.hpp"

namespace skerry::registry {

// One thing that a slot runs or ran.
struct SlotGeneration {
  std::uint64_t generation = 0;  // the desired state's counter
  Digest manifest;
  ModelName model;
  std::string version;
  std::string variant;
  std::uint64_t release_counter = 0;
  std::string reason;  // why this variant, why now
  WallTime activated_at{};

  friend bool operator==(const SlotGeneration&, const SlotGeneration&) = default;
};

struct Slot {
  SlotName name;
  TenantId tenant;
  SiteId site;
  std::uint64_t revision = 0;  // grows with every change of this slot
  std::optional<SlotGeneration> active;
  std::optional<SlotGeneration> previous;
  bool on_trial = false;  // `active` is in probation
  std::uint32_t trial_starts = 0;
  WallTime changed_at{};

  friend bool operator==(const Slot&, const Slot&) = default;
};

struct ActivationRequest {
  SlotName slot;
  std::uint64_t generation = 0;
  Digest manifest;
  std::string variant;
  std::string reason;
  bool probation = true;
  // Set only for a downgrade that the signed desired state or a local administrator asked for.
  bool permit_downgrade = false;
  TenantId tenant;
  SiteId site;
};

struct DesiredSlot {
  SlotName slot;
  std::uint64_t generation = 0;
  Digest manifest;
  std::string target_path;
  std::vector<std::string> allowed_variants;
  RolloutId rollout;
  std::string goal;  // variant_choice.hpp; empty: the device's default
  bool permit_downgrade = false;

  friend bool operator==(const DesiredSlot&, const DesiredSlot&) = default;
};

struct ActivationStep {
  std::uint64_t sequence = 0;  // given by the catalogue
  SlotName slot;
  std::uint64_t generation = 0;
  Digest manifest;
  std::string variant;
  std::string state;   // the machine's state: "FETCHING"
  std::string detail;  // JSON or text, at most 64 KiB
  WallTime at{};

  friend bool operator==(const ActivationStep&, const ActivationStep&) = default;
};

// One change of a slot, written in the transaction that made it: reports and audit are made from
// it.
struct SlotChange {
  std::uint64_t sequence = 0;
  SlotName slot;
  std::uint64_t revision = 0;
  std::string action;  // "activated", "committed", "rolled_back", "deactivated"
  // What is active after it; generation 0 and a zero digest if nothing is.
  std::uint64_t generation = 0;
  Digest manifest;
  std::string variant;
  std::string reason;
  WallTime at{};

  friend bool operator==(const SlotChange&, const SlotChange&) = default;
};

struct KnownBad {
  Digest manifest;
  std::string variant;
  std::string reason;
  WallTime since{};
};

struct Pin {
  Digest manifest;
  std::string variant;
  std::string reason;
};

}  // namespace skerry::registry
