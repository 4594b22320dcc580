#pragma once

// gRPC tells a handler only that its peer is "fd:<n>". This table remembers who was behind that
// descriptor when it was accepted. Descriptor numbers are used again after a close, so each
// accepted socket is moved to a number from a rotating range: a late handler of a closed connection
// cannot meet the identity of a new one until the whole range has gone round (docs/adr/0030).

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "skerry/agent/caller.hpp"
#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"

namespace skerry::agent {

class PeerTable {
 public:
  // Numbers from `first` up to `last` are used for sockets.
  PeerTable(int first, int last) : first_(first), last_(last), next_(first) {}

  // Moves `socket` to the next free number of the range and remembers `caller` under it. Not
  // blocking; one thread at a time. kResourceExhausted if the range is full.
  Result<UniqueFd> admit(UniqueFd socket, Caller caller);

  // By what grpc::ServerContextBase::peer() says. kUnauthenticated for an unknown peer.
  // Thread-safe.
  [[nodiscard]] Result<Caller> find(std::string_view peer) const;

 private:
  const int first_;
  const int last_;
  int next_;
  mutable std::mutex mutex_;
  std::unordered_map<int, Caller> callers_;
};

// Raises the soft limit of open files to `wanted` (or the hard limit) and returns what holds now.
int raise_file_limit(int wanted);

}  // namespace skerry::agent
