#include "derive_fetch.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>

#include "skerry/runtime/quantize.hpp"

#include "derive_room.hpp"

namespace skerry::agent {

Result<std::optional<registry::OpenBlob>> DeriveFetch::open_source(
    const registry::Manifest& manifest, const registry::Recipe& recipe) {
  const auto here = store_.contains(recipe.source);
  if (!here) {
    return here.error();
  }
  if (!*here) {
    return std::optional<registry::OpenBlob>{};
  }
  // As the manifest names it nothing has to be hashed; by its digest alone, once.
  for (const registry::Variant& variant : manifest.variants) {
    for (const registry::ManifestFile& file : variant.files) {
      if (file.digest == recipe.source) {
        auto blob = store_.open_verified(registry::WantedBlob::from(file));
        return blob ? Result<std::optional<registry::OpenBlob>>{std::move(*blob)} : blob.error();
      }
    }
  }
  auto blob = store_.open_verified(recipe.source);
  return blob ? Result<std::optional<registry::OpenBlob>>{std::move(*blob)} : blob.error();
}

Result<DeriveFetch::Output> DeriveFetch::open_output() {
  if (!core_.settings->storage().encrypts()) {
    const auto staging = core_.settings->state_dir() / "staging";
    UniqueFd fd{::open(staging.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (fd) {
      return Output{std::move(fd), false};
    }
    if (errno != EOPNOTSUPP && errno != EISDIR) {
      return errno_error(errno, staging.string());
    }
  }
  UniqueFd fd{::memfd_create("skerry-derived", MFD_CLOEXEC)};
  if (!fd) {
    return errno_error(errno, "a file in memory");
  }
  return Output{std::move(fd), true};
}

Result<void> DeriveFetch::make(const registry::Recipe& recipe,
                               const registry::OpenBlob& source,
                               const registry::ManifestFile& wanted) {
  const auto machine = registry::detect_hardware(core_.fs, core_.settings->state_dir());
  if (!machine) {
    return machine.error();
  }
  auto output = open_output();
  if (!output) {
    return output.error();
  }
  const DeriveCopies in_memory{core_.settings->storage().encrypts(), output->in_memory};
  const DeriveNeed need = derive_need(*source.file, source.size, wanted.size, in_memory);
  if (auto room = check_room(need, *machine); !room) {
    return room;
  }
  auto input = source.plain_fd();
  if (!input) {
    return input.error();
  }
  auto kept = output->fd.duplicate();
  if (!kept) {
    return kept.error();
  }
  runtime::QuantizeJob job;
  job.plugin = recipe.plugin;
  job.engine = recipe.engine;
  job.type = recipe.type;
  runtime::ModelFile file;
  file.fd = std::move(*input);
  file.name = "source.gguf";
  file.role = "model";
  file.length = source.size;
  file.digest = source.digest;
  job.files.push_back(std::move(file));
  job.output = std::move(output->fd);
  job.threads = static_cast<std::uint32_t>(core_.settings->runtime().threads);
  job.cancelled = [this] { return cancel_.cancelled(); };
  const auto sandbox = security::parse_sandbox_requirement(core_.settings->runtime().sandbox);
  if (!sandbox) {
    return sandbox.error();
  }
  job.sandbox = *sandbox;
  const auto done = runtime::quantize_model(supervisor_, std::move(job));
  if (!done) {
    return done.error();
  }
  if (done->bytes != wanted.size) {
    return Error{Error::Code::kSizeMismatch,
                 "it came out with " + std::to_string(done->bytes) + " bytes, not " +
                     std::to_string(wanted.size)};
  }
  // Read through the very file that was written. Its chunk index is computed, not fetched: for the
  // same bytes it is the one that the manifest names.
  const std::string link = "/proc/self/fd/" + std::to_string(kept->get());
  auto stored = store_.ingest_file(link, wanted.chunk_size, wanted.digest);
  return stored ? Result<void>{} : stored.error();
}

bool DeriveFetch::run(const registry::Manifest& manifest, const registry::Variant& variant) {
  const auto recipe = registry::recipe_of(manifest, variant);
  if (!recipe) {
    core_.log.warning("derive.failed", recipe.error());
    return false;
  }
  const auto is_weights = [](const registry::ManifestFile& file) {
    return file.role == registry::FileRole::kWeights;
  };
  const registry::ManifestFile* wanted = variant.find_file(registry::FileRole::kWeights);
  if (!*recipe || wanted == nullptr ||
      std::count_if(variant.files.begin(), variant.files.end(), is_weights) != 1) {
    return false;
  }
  const auto held = store_.holds(registry::WantedBlob::from(*wanted));
  if (!held || *held) {
    return false;
  }
  const auto source = open_source(manifest, **recipe);
  if (!source) {
    core_.log.warning("derive.failed", source.error());
    return false;
  }
  if (!*source) {
    return false;
  }
  const BootTime begin = core_.clock.boot_now();
  const auto made = make(**recipe, **source, *wanted);
  if (!made) {
    if (made.error().code() != Error::Code::kCancelled) {
      core_.log.warning("derive.failed", made.error().with_context(wanted->digest.to_string()));
    }
    return false;
  }
  const auto time =
      std::chrono::duration_cast<std::chrono::milliseconds>(core_.clock.boot_now() - begin);
  core_.log.info("derive.made",
                 {{"blob", wanted->digest.to_string()},
                  {"source", (*recipe)->source.to_string()},
                  {"type", (*recipe)->type},
                  {"engine", (*recipe)->plugin + " " + (*recipe)->engine},
                  {"bytes", wanted->size},
                  {"milliseconds", static_cast<std::uint64_t>(time.count())}});
  return true;
}

}  // namespace skerry::agent
