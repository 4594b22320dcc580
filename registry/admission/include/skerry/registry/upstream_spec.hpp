#pragma once

// The weights of a variant of the runtime `openai`: a small signed document that says which model
// of which servers answers, and in which order the tiers are asked (docs/formats/upstream.md). The
// addresses of the servers are the gateway's own configuration; that a request may leave for the
// cloud is said here and nowhere else. Read by the command line when it packs and by the agent when
// it admits and serves.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::registry::upstream {

// The plugin name of variants that are answered by an upstream, and their format.
inline constexpr std::string_view kPlugin = "openai";

// Where a server stands; a request leaves a tier only as the signed order says.
enum class Tier : std::uint8_t { kLocal, kSite, kCloud };

std::string_view to_string(Tier tier) noexcept;
std::optional<Tier> parse_tier(std::string_view text) noexcept;

enum class ServerKind : std::uint8_t {
  kCompatible,  // any server with OpenAI's interface
  kOpenAi,      // OpenAI's own service
  kVllm,
  kMlxLm,         // mlx_lm.server
  kOllama,        // its /v1
  kFoundryLocal,  // Microsoft's
};

std::string_view to_string(ServerKind kind) noexcept;
std::optional<ServerKind> parse_server_kind(std::string_view text) noexcept;

struct Spec {
  static constexpr std::size_t kBytes = 16U << 10U;
  static constexpr std::size_t kNameLength = 256;

  // What the servers call the model, where `names` has no other word for their kind.
  std::string model;
  std::map<ServerKind, std::string> names;
  // Tiers that may answer, first choice first; never empty, none twice.
  std::vector<Tier> order;
  // Also when every server of a tier is busy, not only when none is well.
  bool spill = false;
  // Tokens of prompt and answer; 0: not said.
  std::uint32_t context_length = 0;
  bool chat = true;
  bool text = false;
  bool embed = false;

  [[nodiscard]] const std::string& name_at(ServerKind kind) const;

  friend bool operator==(const Spec&, const Spec&) = default;
};

// Strict: kModelFormat names the member that is unknown, missing, of another type or beyond its
// limit.
Result<Spec> parse_spec(std::string_view json);

}  // namespace skerry::registry::upstream
