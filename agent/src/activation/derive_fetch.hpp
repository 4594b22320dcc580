#pragma once

// Makes the weights of a wanted variant by quantizing weights that are held, where the signed
// manifest says how they were made (registry/recipe.hpp). A sandboxed worker does it, with the CPU
// weight of a worker; the digest in the manifest decides. Runs before deltas and the ordinary fetch
// and never instead of them: whatever goes wrong here is logged, and what is still missing is
// fetched. Used by `Installer`.

#include "skerry/agent/core.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/fetcher.hpp"
#include "skerry/registry/recipe.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent {

class DeriveFetch {
 public:
  DeriveFetch(Core& core,
              registry::BlobStore& store,
              const runtime::SupervisorOptions& supervisor,
              const registry::CancelFlag& cancel)
      : core_(core), store_(store), supervisor_(supervisor), cancel_(cancel) {}

  // Blocks as long as the engine works. True if the weights were made and are in the store.
  bool run(const registry::Manifest& manifest, const registry::Variant& variant);

 private:
  // The weights that the recipe names; nothing if they are not here.
  Result<std::optional<registry::OpenBlob>> open_source(const registry::Manifest& manifest,
                                                        const registry::Recipe& recipe);
  // Where the engine writes: a file without a name beside the store, so that a crash leaves none;
  // in memory where models lie encrypted, or where the file system has none of that kind.
  struct Output {
    UniqueFd fd;
    bool in_memory = false;
  };
  Result<Output> open_output();
  Result<void> make(const registry::Recipe& recipe,
                    const registry::OpenBlob& source,
                    const registry::ManifestFile& wanted);

  Core& core_;
  registry::BlobStore& store_;
  const runtime::SupervisorOptions& supervisor_;
  const registry::CancelFlag& cancel_;
};

}  // namespace skerry::agent
