#include "skerry/agent/model_imports.hpp"

#include <algorithm>
#include <map>

#include "skerry/agent/signer_list.hpp"
#include "skerry/registry/gc.hpp"
#include "skerry/registry/import_names.hpp"
#include "skerry/security/model_signing/bundle.hpp"

namespace skerry::agent {
namespace {

Error not_importable(std::string_view path, std::string_view why) {
  return {Error::Code::kManifestInvalid, std::string{path} + ": " + std::string{why}};
}

// What an import may ask of an engine: the weights of a known format, parsed before it sees them.
Result<void> check_importable(const registry::Manifest& manifest) {
  if (manifest.model.team != registry::kLocalTeam) {
    return not_importable("skerry.model",
                          "imported models are called local/<name>; \"" + manifest.model.team +
                              "\" is for what a fleet signs");
  }
  for (std::size_t i = 0; i < manifest.variants.size(); ++i) {
    const registry::Variant& variant = manifest.variants[i];
    const std::string path = "skerry.variants[" + std::to_string(i) + "]";
    if (variant.format != "gguf" && variant.format != "onnx") {
      return not_importable(path + ".format", "only gguf and onnx are imported");
    }
    for (const registry::ManifestFile& file : variant.files) {
      if (file.role != registry::FileRole::kWeights) {
        return not_importable(path + ".files", "an imported variant holds weights alone");
      }
    }
    if (variant.format == "gguf" && variant.files.size() != 1) {
      return not_importable(path + ".files", "a GGUF variant is one file; join its parts");
    }
  }
  for (const registry::ManifestFile& file : manifest.shared) {
    if (file.role == registry::FileRole::kGolden) {
      return not_importable("skerry.shared", "an imported model brings no golden set of its own");
    }
  }
  for (const auto& [key, value] : manifest.annotations) {
    if (key.starts_with("skerry.option.")) {
      return not_importable("annotations." + key, "an imported model sets no option of an engine");
    }
  }
  return {};
}

Result<registry::VerifiedManifest> parse_import(std::string_view bytes) {
  auto manifest = registry::Manifest::parse(bytes);
  if (!manifest) {
    return manifest.error();
  }
  if (auto ok = check_importable(*manifest); !ok) {
    return ok.error();
  }
  registry::VerifiedManifest out;
  out.digest = Digest::of(bytes);
  out.bytes = std::string{bytes};
  out.target_path = manifest->target_path();
  out.repository = std::string{registry::kImportRepository};
  out.manifest = *std::move(manifest);
  return out;
}

}  // namespace

Result<ModelImports::Plan> ModelImports::plan(std::string_view manifest,
                                              const std::set<Digest>& leased) {
  auto parsed = parse_import(manifest);
  if (!parsed) {
    return parsed.error();
  }
  Plan plan;
  std::uint64_t bytes = 0;
  for (const registry::ManifestFile& file : parsed->manifest.all_files()) {
    const registry::WantedBlob wanted = registry::WantedBlob::from(file);
    const auto held = store_.holds(wanted);
    if (!held) {
      return held.error();
    }
    if (!*held) {
      plan.missing.push_back(wanted);
      bytes += wanted.size;
    }
  }
  registry::GcGoal room;
  room.high = core_.settings->storage().high_water.bytes;
  room.low = core_.settings->storage().low_water.bytes;
  room.incoming = bytes;
  if (room.high != 0 && bytes != 0) {
    if (auto made = registry::make_room(catalogue_, store_, leased, room); !made) {
      return made.error();
    }
  }
  plan.known = static_cast<bool>(catalogue_.find_import(parsed->digest));
  plan.manifest = *std::move(parsed);
  return plan;
}

Result<std::unique_ptr<registry::BlobIngest>> ModelImports::begin_blob(
    const registry::WantedBlob& blob, ByteView index) {
  using Ingest = std::unique_ptr<registry::BlobIngest>;
  if (auto ok = registry::check_chunking(blob.size, blob.chunk_size); !ok) {
    return ok.error();
  }
  const auto parsed = registry::ChunkIndex::parse(index, blob.size, blob.chunk_size);
  if (!parsed) {
    return parsed.error().with_context("chunk index");
  }
  const registry::WantedBlob wanted{blob.digest, blob.size, blob.chunk_size, parsed->digest()};
  auto held = store_.holds(wanted);
  if (held && !*held) {
    held = store_.settle(blob.digest);  // here under another index, perhaps
  }
  if (!held) {
    return held.error();
  }
  if (auto kept = store_.put(index); !kept) {
    return kept.error();
  }
  if (*held) {
    return Ingest{};
  }
  return store_.begin(blob.digest, *parsed);
}

Result<CatalogueEntry> ModelImports::commit(std::string_view manifest,
                                            registry::ImportedModel origin) {
  auto parsed = parse_import(manifest);
  if (!parsed) {
    return parsed.error();
  }
  for (const registry::ManifestFile& file : parsed->manifest.all_files()) {
    // The digest that people compare with a vendor's must be true of the whole file, not only of
    // its chunks.
    const auto settled = store_.settle(file.digest);
    if (!settled) {
      return settled.error().with_context(file.name);
    }
    if (!*settled) {
      return Error{Error::Code::kFailedPrecondition,
                   file.name + " (" + file.digest.to_string() +
                       ") is not in the store, or did not have that digest; import again"};
    }
  }
  for (const registry::Variant& variant : parsed->manifest.variants) {
    if (auto admitted = installer_.admit(*parsed, variant.name); !admitted) {
      return admitted.error().with_context("variant " + variant.name);
    }
  }
  CatalogueEntry entry;
  const auto vouch = verify_signature(parsed->manifest, entry.signature);
  if (!vouch) {
    return vouch.error().with_context("signature");
  }
  origin.manifest = parsed->digest;
  if (auto stored = store_.put(as_bytes(manifest)); !stored) {
    return stored.error();
  }
  if (auto recorded = catalogue_.record_import(manifest, origin); !recorded) {
    return recorded.error();
  }
  if (*vouch) {
    if (auto taken = take_vouch(parsed->digest, **vouch, entry.signature); !taken) {
      return taken.error();
    }
  }
  auto found = find(parsed->digest.to_string());
  if (found) {
    found->signature = std::move(entry.signature);
  }
  return found;
}

Result<std::optional<registry::Vouch>> ModelImports::verify_signature(
    const registry::Manifest& manifest, std::string& said) {
  using Found = std::optional<registry::Vouch>;
  const auto file = std::find_if(
      manifest.shared.begin(), manifest.shared.end(), [](const registry::ManifestFile& one) {
        return one.role == registry::FileRole::kSignature;
      });
  if (file == manifest.shared.end()) {
    said = "none came with it";
    return Found{};
  }
  const auto bundle = store_.read(file->digest, security::model_signing::kMaxBundleBytes);
  if (!bundle) {
    return bundle.error();
  }
  auto vouch = vouch_of(as_text(*bundle), manifest);
  if (vouch) {
    said = *vouch ? "verified, by " + (*vouch)->who
                  : file->name + " is by nobody on this gateway's list of signers ([import])";
  }
  return vouch;
}

Result<std::optional<registry::Vouch>> ModelImports::vouch_of(std::string_view bundle,
                                                              const registry::Manifest& manifest) {
  using Found = std::optional<registry::Vouch>;
  const auto signers = SignerList::load(core_.fs, core_.settings->imports());
  if (!signers) {
    return signers.error();
  }
  auto authentic = signers->authenticate(bundle, installer_.time().now().now);
  if (!authentic) {
    return authentic.error();
  }
  if (!*authentic) {
    return Found{};
  }
  if (auto covered = check_signed_files((*authentic)->statement, manifest, store_); !covered) {
    return covered.error();
  }
  registry::Vouch vouch;
  vouch.kind = registry::VouchKind::kSigner;
  vouch.who = SignerList::name_of((*authentic)->signer);
  vouch.identity = SignerList::identity_of((*authentic)->signer);
  vouch.reason = "signed " + (*authentic)->statement.root.to_string() + ", bundle " +
                 Digest::of(bundle).to_string();
  return Found{std::move(vouch)};
}

Result<void> ModelImports::take_vouch(const Digest& manifest,
                                      const registry::Vouch& vouch,
                                      std::string& said) {
  const auto known = catalogue_.find_import(manifest);
  if (!known) {
    return known.error();
  }
  for (const registry::Vouch& earlier : known->vouches) {
    if (earlier.revoked_at && earlier.kind == vouch.kind && earlier.who == vouch.who) {
      // Whoever may import must not undo what somebody who may vouch ended.
      said += "; " + earlier.revoked_by + " ended that vouch here";
      return {};
    }
  }
  return catalogue_.vouch(manifest, vouch);
}

Result<CatalogueEntry> ModelImports::vouch_by_signature(const CatalogueEntry& entry,
                                                        std::string_view bundle) {
  auto vouch = vouch_of(bundle, entry.manifest.manifest);
  if (!vouch) {
    return vouch.error().with_context("signature");
  }
  if (!*vouch) {
    return Error{Error::Code::kPermissionDenied,
                 "the signature is by nobody on this gateway's list of signers; [import] of its "
                 "configuration names them"};
  }
  if (auto vouched = catalogue_.vouch(entry.manifest.digest, **vouch); !vouched) {
    return vouched.error();
  }
  return find(entry.manifest.digest.to_string());
}

}  // namespace skerry::agent
