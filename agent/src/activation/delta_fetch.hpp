#pragma once

// Makes wanted blobs from blobs that are held, where the source offers a delta and the link makes
// it worth while. Runs before the ordinary fetch and never instead of it: whatever goes wrong here
// is logged, and what is still missing is fetched in full. Every chunk that comes out is checked
// against the signed index by the store. Used by `Installer`.

#include <functional>
#include <span>
#include <vector>

#include "skerry/agent/core.hpp"
#include "skerry/agent/delta_choice.hpp"
#include "skerry/agent/model_source.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/fetcher.hpp"

namespace skerry::agent {

class DeltaFetch {
 public:
  // Gets blobs over the link like any others: limits and budgets hold.
  using FetchBlobs = std::function<Result<registry::FetchProgress>(
      std::span<const registry::WantedBlob>, const registry::Fetcher::OnProgress&)>;

  DeltaFetch(Core& core,
             registry::Catalogue& catalogue,
             registry::BlobStore& store,
             TransferRates& rates,
             ModelSource& source,
             const registry::CancelFlag& cancel)
      : core_(core),
        catalogue_(catalogue),
        store_(store),
        rates_(rates),
        source_(source),
        cancel_(cancel) {}

  // Blocks. Bytes that came over the link for deltas. `on_progress` is told of `wanted` as a whole.
  std::uint64_t run(const registry::Manifest& manifest,
                    const registry::Variant& variant,
                    std::span<const registry::WantedBlob> wanted,
                    const FetchBlobs& fetch,
                    const registry::Fetcher::OnProgress& on_progress);

 private:
  // Weights of other versions and variants of the same model that are here, the likeliest first.
  Result<std::vector<registry::WantedBlob>> held_for(const registry::Manifest& manifest,
                                                     const registry::Variant& variant,
                                                     const registry::WantedBlob& wanted);
  Result<DeltaOffer> ask(const registry::WantedBlob& wanted,
                         std::span<const registry::WantedBlob> held);
  Result<bool> worth(const DeltaOffer& offer, const registry::WantedBlob& wanted);
  Result<void> apply(const DeltaOffer& offer,
                     const registry::WantedBlob& base,
                     const registry::WantedBlob& wanted,
                     const registry::Fetcher::OnProgress& on_progress);
  Result<void> make_one(const registry::Manifest& manifest,
                        const registry::Variant& variant,
                        const registry::WantedBlob& wanted,
                        const FetchBlobs& fetch,
                        const registry::Fetcher::OnProgress& on_progress);
  void drop(const DeltaOffer& offer);
  void pause(std::chrono::milliseconds time) const;

  Core& core_;
  registry::Catalogue& catalogue_;
  registry::BlobStore& store_;
  TransferRates& rates_;
  ModelSource& source_;
  const registry::CancelFlag& cancel_;
  std::uint64_t fetched_ = 0;
};

}  // namespace skerry::agent
