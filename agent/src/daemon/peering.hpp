#pragma once

// Where this gateway gets blobs from besides the controller, what its link may carry, and what it
// serves to its site: the link's budget, the sources, and the peer server, which listens once there
// is a certificate. Control thread; private to the daemon's composition.

#include <memory>

#include "skerry/agent/blob_sources.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/device_time.hpp"
#include "skerry/agent/link_keeper.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/agent/peer_server.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"

namespace skerry::agent {

class Peering {
 public:
  Peering(Core& core,
          const DeviceTime& time,
          registry::Catalogue& catalogue,
          registry::BlobStore& store);

  [[nodiscard]] LinkKeeper& link() { return link_; }
  [[nodiscard]] BlobSources& sources() { return sources_; }
  [[nodiscard]] std::uint64_t served_bytes() const;
  void fill(Gauges& gauges);

  // The gateway has a certificate, or a new one: it may ask its peers, and serve them.
  void become(const PeerIdentity& identity);
  void stop() { server_.reset(); }

 private:
  Result<std::unique_ptr<File>> open_for_peers(const Digest& blob);

  Core& core_;
  registry::Catalogue& catalogue_;
  registry::BlobStore& store_;
  LinkKeeper link_;
  BlobSources sources_;
  std::unique_ptr<PeerServer> server_;
};

}  // namespace skerry::agent
