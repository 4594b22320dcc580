#pragma once

// Everywhere that this gateway may get blobs from, besides the controller: folders, the other
// gateways of the site, web servers. Every fetch and every heal opens its own set, so that slots
// can fetch at once. Thread-safe.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "skerry/agent/core.hpp"
#include "skerry/agent/link_keeper.hpp"
#include "skerry/agent/peer_server.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/registry/fetcher.hpp"

namespace skerry::agent {

class BlobSources {
 public:
  // `link` counts what comes over it.
  BlobSources(Core& core, LinkKeeper& link) : core_(core), link_(link) {}

  // This gateway's certificate, when it is enrolled and whenever it was renewed. Peers are asked
  // only from then on.
  void set_identity(PeerIdentity identity);
  [[nodiscard]] std::optional<PeerIdentity> identity() const;

  // How every fetch goes, by the settings.
  [[nodiscard]] registry::FetchOptions options() const;
  [[nodiscard]] LinkKeeper& link() const { return link_; }

  // Those of the site first. A source whose files cannot be read is left out and logged.
  [[nodiscard]] std::vector<std::unique_ptr<registry::BlobSource>> open() const;

 private:
  void add_folders(std::vector<std::unique_ptr<registry::BlobSource>>& out) const;
  void add_peers(std::vector<std::unique_ptr<registry::BlobSource>>& out) const;
  void add_urls(std::vector<std::unique_ptr<registry::BlobSource>>& out) const;

  Core& core_;
  LinkKeeper& link_;
  mutable std::mutex mutex_;
  std::optional<PeerIdentity> identity_;
};

// The sources of one fetch: the configured ones, then `last` (the controller), if there is one;
// with `site_only` without those over the link.
struct OpenedSources {
  OpenedSources(const BlobSources* configured, registry::BlobSource* last, bool site_only = false);

  std::vector<std::unique_ptr<registry::BlobSource>> own;
  std::vector<registry::BlobSource*> all;
};

}  // namespace skerry::agent
