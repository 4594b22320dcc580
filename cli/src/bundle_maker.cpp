#include "skerry/cli/bundle_maker.hpp"

#include <utility>

#include "skerry/cli/key_files.hpp"
#include "skerry/cli/model_target.hpp"
#include "skerry/cli/repo_lifetimes.hpp"
#include "skerry/common/share_file.hpp"
#include "skerry/registry/bundle_verify.hpp"
#include "skerry/security/tuf/memory_metadata_store.hpp"

#include "security_documents.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

std::string metadata_name(std::int64_t version, std::string_view role) {
  return std::to_string(version) + "." + std::string{role} + ".json";
}

// What a device needs of a repository: every root, and what the timestamp leads to.
Result<std::map<std::string, std::string>> published_chain(const tuf::Repository& repository) {
  std::map<std::string, std::string> files;
  const auto take = [&](const std::string& name) -> Result<std::string> {
    auto bytes = repository.read(name);
    if (bytes) {
      files.insert_or_assign(name, *bytes);
    }
    return bytes;
  };
  for (std::int64_t version = 1;; ++version) {
    const auto root = take(metadata_name(version, "root"));
    if (!root && version > 1 && root.error().code() == Error::Code::kNotFound) {
      break;
    }
    if (!root) {
      return root.error();
    }
  }
  const auto timestamp_bytes = take("timestamp.json");
  if (!timestamp_bytes) {
    return timestamp_bytes.error();
  }
  const auto timestamp = tuf::parse_timestamp(*timestamp_bytes);
  if (!timestamp) {
    return timestamp.error();
  }
  const auto snapshot_bytes = take(metadata_name(timestamp->content.snapshot.version, "snapshot"));
  if (!snapshot_bytes) {
    return snapshot_bytes.error();
  }
  const auto snapshot = tuf::parse_snapshot(*snapshot_bytes);
  if (!snapshot) {
    return snapshot.error();
  }
  for (const auto& [name, meta] : snapshot->content.meta) {
    const std::string role = name.substr(0, name.size() - std::string_view{".json"}.size());
    const auto bytes =
        take(metadata_name(meta.version, tuf::encode_role_name(tuf::RoleName{role})));
    if (!bytes) {
      return bytes.error();
    }
  }
  return files;
}

Result<std::unique_ptr<tuf::Repository>> open_repository(FileSystem& fs,
                                                         const std::filesystem::path& folder,
                                                         std::string_view what) {
  auto repository = tuf::Repository::open(fs, folder);
  if (!repository) {
    return repository.error().with_context(std::string{what} + " repository");
  }
  return repository;
}

// The directives that the offline repository lists: what is staged, else what is published.
Result<std::map<std::string, tuf::TargetFile, std::less<>>> listed_bundles(
    const tuf::Repository& offline) {
  if (const auto staged = offline.staged(tuf::Role::kTargets)) {
    auto targets = tuf::parse_targets(*staged);
    if (!targets) {
      return targets.error();
    }
    return std::move(targets->content.targets);
  }
  auto published = offline.published_targets();
  if (!published) {
    return published.error();
  }
  return std::move(published->targets);
}

std::uint64_t sequence_in(const tuf::TargetFile& target) {
  const auto sequence = target.custom.get_int("sequence");
  return sequence && *sequence > 0 ? static_cast<std::uint64_t>(*sequence) : 0;
}

// The bundle's own number if it is listed, else the next one.
Result<std::uint64_t> sequence_of(const tuf::Repository& offline, const std::string& path) {
  const auto listed = listed_bundles(offline);
  if (!listed) {
    return listed.error();
  }
  std::uint64_t next = 1;
  for (const auto& [name, target] : *listed) {
    if (name == path) {
      return sequence_in(target);
    }
    next = std::max(next, sequence_in(target) + 1);
  }
  return next;
}

class BundleMaker {
 public:
  BundleMaker(FileSystem& fs, WallTime now, const BundleRequest& request)
      : fs_(fs), now_(now), request_(request) {}

  Result<MadeBundle> run() {
    auto image = open_repository(fs_, request_.image, "image");
    auto offline = open_repository(fs_, request_.offline, "offline");
    if (!image || !offline) {
      return image ? offline.error() : image.error();
    }
    made_.directive.id = request_.id;
    made_.directive.devices = request_.devices;
    made_.directive.not_after = request_.not_after;
    auto writer = registry::OciLayoutWriter::create(fs_, request_.out, share_file);
    if (!writer) {
      return writer.error();
    }
    if (auto done = add_models(*writer); !done) {
      return done.error();
    }
    if (auto done = add_documents(*writer, **image); !done) {
      return done.error();
    }
    if (auto done = direct(**offline); !done) {
      return done.error();
    }
    if (auto done = write_trust(**image, **offline); !done) {
      return done.error();
    }
    if (auto done = writer->finish(); !done) {
      return done.error();
    }
    made_.counts = writer->counts();
    return std::move(made_);
  }

 private:
  Result<void> add_models(registry::OciLayoutWriter& writer) {
    std::map<Digest, std::uint64_t>& blobs = made_.directive.blobs;
    for (const auto& [slot, folder] : request_.models) {
      const auto model = load_model_target(fs_, folder);
      if (!model) {
        return model.error();
      }
      const std::filesystem::path packed = fs_.status(folder)->is_directory
                                               ? std::filesystem::path{folder}
                                               : std::filesystem::path{folder}.parent_path();
      const Digest digest = Digest::of(model->bytes);
      made_.directive.slots.emplace(slot,
                                    registry::BundleSlot{model->path, digest, model->bytes.size()});
      if (blobs.contains(digest)) {
        continue;
      }
      auto listed =
          registry::add_model(writer, model->manifest, model->bytes, packed / "blobs", blobs);
      if (!listed) {
        return listed.error();
      }
      writer.list(*std::move(listed),
                  model->manifest.model.to_string() + ":" + model->manifest.version.to_string());
    }
    return {};
  }

  // What the `security` role signed: a gateway without a network gets it by sticks alone.
  Result<void> add_documents(registry::OciLayoutWriter& writer, const tuf::Repository& image) {
    if (!request_.without_documents) {
      auto listed = list_documents(image);
      if (!listed) {
        return listed.error();
      }
      documents_ = *std::move(listed);
    }
    for (const DocumentBlob& document : documents_) {
      const auto added = writer.add_file("application/octet-stream",
                                         document_file(request_.image.string(), document.digest),
                                         document.digest);
      if (!added) {
        return added.error().with_context(
            document.path +
            " is listed by the image repository, but its bytes are not in this working copy; copy "
            "blobs/ from where it was staged, or leave it out: --without-documents");
      }
      made_.directive.blobs.insert_or_assign(added->digest, added->size);
      made_.documents.push_back(document.path);
    }
    if (made_.directive.blobs.empty()) {
      return Error{Error::Code::kInvalidArgument,
                   "there is nothing to carry: name a --model, or publish a policy or revocations "
                   "in the image repository"};
    }
    return {};
  }

  // The offline repository lists the directive: stages it if it does not, signs and publishes with
  // the keys at hand.
  Result<void> direct(tuf::Repository& offline) {
    registry::BundleDirective& directive = made_.directive;
    const auto sequence = sequence_of(offline, directive.target_path());
    if (!sequence) {
      return sequence.error();
    }
    directive.sequence = *sequence;
    bytes_ = directive.serialise();
    if (auto readable = registry::BundleDirective::parse(bytes_); !readable) {
      return Error{Error::Code::kInvalidArgument, readable.error().message()};
    }
    const auto listed = listed_bundles(offline);
    if (!listed) {
      return listed.error();
    }
    const auto entry = listed->find(directive.target_path());
    if (entry != listed->end() && !entry->second.check(bytes_)) {
      return Error{Error::Code::kAlreadyExists,
                   "bundle \"" + directive.id + "\" is listed with other content in " +
                       request_.offline.string() + "; choose another --id, or skerry repo remove " +
                       request_.offline.string() + " " + directive.target_path()};
    }
    const auto lifetimes = load_lifetimes(fs_, request_.offline);
    if (!lifetimes) {
      return lifetimes.error();
    }
    if (entry == listed->end()) {
      const Json custom{Json::Object{{"type", "bundle"}, {"sequence", directive.sequence}}};
      if (auto staged =
              offline.add_target_content(directive.target_path(), bytes_, custom, *lifetimes, now_);
          !staged) {
        return staged;
      }
      made_.notes.push_back("staged " + directive.target_path() + " in " +
                            request_.offline.string());
    }
    return sign_and_publish(offline, *lifetimes);
  }

  Result<void> sign_and_publish(tuf::Repository& offline,
                                const tuf::RepositoryLifetimes& lifetimes) {
    const auto waiting = offline.staged_roles();
    if (!waiting) {
      return waiting.error();
    }
    if (!waiting->empty() && !request_.keys.empty()) {
      auto lines = sign_staged(fs_, offline, *waiting, request_.keys);
      if (!lines) {
        return lines.error();
      }
      made_.notes.insert(made_.notes.end(), lines->begin(), lines->end());
    }
    if (!waiting->empty() && !request_.online_key.empty()) {
      const auto signer = load_signer(fs_, request_.online_key);
      if (!signer) {
        return signer.error();
      }
      if (auto published = offline.publish(**signer, **signer, lifetimes, now_); !published) {
        return published;
      }
    }
    const auto published = offline.published_targets();
    const std::string path = made_.directive.target_path();
    if (!published || !published->targets.contains(path) ||
        !published->targets.at(path).check(bytes_)) {
      return Error{Error::Code::kThresholdNotMet,
                   path + " is staged in " + request_.offline.string() +
                       " and not published yet: sign it (skerry repo sign), publish it (skerry "
                       "repo publish), and run this again"};
    }
    return {};
  }

  Result<void> write_trust(const tuf::Repository& image, const tuf::Repository& offline) {
    for (const auto& [repository, folder] :
         {std::pair{&image, registry::kBundleImageMetadata},
          std::pair{&offline, registry::kBundleOfflineMetadata}}) {
      const auto files = published_chain(*repository);
      if (!files) {
        return files.error().with_context(repository->directory().string());
      }
      const auto directory = request_.out / folder;
      if (auto made = fs_.create_directories(directory, 0755); !made) {
        return made;
      }
      for (const auto& [name, bytes] : *files) {
        if (auto written = write_file_atomic(fs_, directory / name, bytes, 0644); !written) {
          return written;
        }
      }
    }
    if (auto written =
            write_file_atomic(fs_, request_.out / registry::kBundleDirective, bytes_, 0644);
        !written) {
      return written;
    }
    return check_models(image);
  }

  // A device would refuse what the image repository has not published as it is packed.
  Result<void> check_models(const tuf::Repository& image) {
    tuf::MemoryMetadataStore store;
    tuf::DirectoryFetcher fetcher{fs_, image.directory() / "metadata"};
    tuf::ClientOptions options;
    options.waive_online_expiry = true;
    tuf::Client client{store, fetcher, options};
    const auto root = image.read(metadata_name(1, "root"));
    if (!root) {
      return root.error();
    }
    if (auto trusted = client.bootstrap(*root); !trusted) {
      return trusted;
    }
    const security::TrustedTime time{now_, security::TimeQuality::kSynchronised};
    if (auto fresh = client.refresh(time); !fresh) {
      return fresh.error().with_context("image repository");
    }
    for (const auto& [slot, wanted] : made_.directive.slots) {
      const auto found = client.lookup(wanted.target);
      if (!found) {
        return found.error().with_context("image repository");
      }
      const auto digest = found->file.sha256();
      if (!digest || *digest != wanted.manifest) {
        return Error{Error::Code::kMetadataMismatch,
                     wanted.target + " was signed with another manifest than the packed one (" +
                         wanted.manifest.to_string() + ")"};
      }
    }
    for (const DocumentBlob& document : documents_) {
      const auto found = client.lookup(document.path);
      const auto digest = found ? found->file.sha256() : found.error();
      if (!digest || *digest != document.digest) {
        return Error{Error::Code::kMetadataMismatch,
                     document.path +
                         " is staged and not published: skerry repo publish, or skerry fleet "
                         "publish and pull-trust, and run this again"};
      }
    }
    return {};
  }

  FileSystem& fs_;
  WallTime now_;
  const BundleRequest& request_;
  MadeBundle made_;
  std::vector<DocumentBlob> documents_;
  std::string bytes_;
};

}  // namespace

Result<MadeBundle> make_bundle(FileSystem& fs, WallTime now, const BundleRequest& request) {
  return BundleMaker{fs, now, request}.run();
}

}  // namespace skerry::cli
