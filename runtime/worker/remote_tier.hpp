#pragma once

// The second tier of the prefix cache as a worker has it: states go to the supervisor and come from
// it in sealed memory, since a worker has no files. On the engine thread.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "skerry/common/unique_fd.hpp"
#include "skerry/runtime/prefix_tier.hpp"

#include "channel.hpp"

namespace skerry::runtime {

class RemoteTier final : public PrefixTier {
 public:
  // `format` is the engine's; `largest` what the supervisor takes.
  RemoteTier(Channel& channel, std::string format, std::uint64_t largest)
      : channel_(channel), format_(std::move(format)), largest_(largest) {}

  [[nodiscard]] std::uint64_t largest() const override { return largest_; }
  [[nodiscard]] bool busy() const override { return saving_; }
  Result<void> save(PrefixState state, std::size_t room, const Fill& fill) override;
  void find(RequestKey key, std::vector<Digest> names) override;
  void drop(const Digest& name) override;

  // The supervisor has finished with the last state.
  void taken() { saving_ = false; }
  // What a PrefixAnswer and its descriptor say; nothing found if they say nothing of use.
  static FoundPrefix open(const worker::v1::PrefixAnswer& answer, const UniqueFd& fd);

 private:
  Channel& channel_;
  std::string format_;
  std::uint64_t largest_;
  bool saving_ = false;
};

}  // namespace skerry::runtime
