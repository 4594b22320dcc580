#include "security_documents.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "skerry/cli/key_files.hpp"
#include "skerry/cli/model_target.hpp"
#include "skerry/security/revocations.hpp"

namespace skerry::cli {
namespace {

namespace tuf = security::tuf;

constexpr std::string_view kDocumentPrefix = "security/";
constexpr std::size_t kMaxDocument = security::RevocationLimits::kBytes;

// The role's list: staged if there is one, else published; empty if there is neither.
Result<tuf::Targets> list_of(const tuf::Repository& repository, const tuf::RoleName& role) {
  auto bytes = repository.staged(role);
  if (!bytes) {
    const auto status = repository.status();
    if (!status) {
      return status.error();
    }
    const auto found = std::find_if(status->roles.begin(),
                                    status->roles.end(),
                                    [&](const auto& candidate) { return candidate.role == role; });
    if (found == status->roles.end() || found->published_version == 0) {
      return tuf::Targets{};
    }
    bytes = repository.read(std::to_string(found->published_version) + "." +
                            tuf::encode_role_name(role) + ".json");
    if (!bytes) {
      return bytes.error();
    }
  }
  auto targets = tuf::parse_targets(*bytes);
  if (!targets) {
    return targets.error().with_context(role.text());
  }
  return std::move(targets->content);
}

}  // namespace

void add_document_options(Command& command, DocumentOptions& options) {
  command.add_option("folder", options.folder, "made by skerry repo init")->required();
  command.add_option("--role", options.role, "the role that signs it")->show_default();
  command.add_option("--key", options.keys, "sign with this key (repeatable)");
  command.add_option(
      "--online-key", options.online_key, "also publish in the folder, without a controller");
}

std::filesystem::path document_file(const std::string& folder, const Digest& digest) {
  const std::string hex = digest.hex();
  return std::filesystem::path{folder} / "blobs" / "sha256" / hex.substr(0, 2) / hex;
}

SecurityDocuments::SecurityDocuments(Invocation& invocation,
                                     const DocumentOptions& options,
                                     std::unique_ptr<tuf::Repository> repository)
    : invocation_(invocation), options_(options), repository_(std::move(repository)) {}

Result<SecurityDocuments> SecurityDocuments::open(Invocation& invocation,
                                                  const DocumentOptions& options) {
  auto repository = tuf::Repository::open(invocation.fs, options.folder);
  if (!repository) {
    return repository.error();
  }
  const auto delegations = (*repository)->delegations();
  if (!delegations) {
    return delegations.error();
  }
  const bool known = std::any_of(delegations->roles.begin(),
                                 delegations->roles.end(),
                                 [&](const auto& role) { return role.name == options.role; });
  if (!known && options.role != "targets") {
    return Error{Error::Code::kNotFound,
                 fmt::format("nobody delegates to a role '{0}'; make it with: skerry repo delegate "
                             "{1} {0} --key KEY --path 'security/*' --path 'security/policy/*'",
                             options.role,
                             options.folder)};
  }
  return SecurityDocuments{invocation, options, std::move(*repository)};
}

Result<std::optional<std::string>> SecurityDocuments::current(std::string_view path) const {
  using Found = std::optional<std::string>;
  const auto targets = list_of(*repository_, tuf::RoleName{options_.role});
  if (!targets) {
    return targets.error();
  }
  const auto entry = targets->targets.find(path);
  if (entry == targets->targets.end()) {
    return Found{};
  }
  const auto digest = entry->second.sha256();
  if (!digest) {
    return digest.error();
  }
  auto bytes = read_file(invocation_.fs, document_file(options_.folder, *digest), kMaxDocument);
  if (!bytes) {
    return bytes.error().with_context(
        std::string{path} +
        " is listed, but its bytes are not in this working copy; copy blobs/ from where it was "
        "staged");
  }
  if (auto same = entry->second.check(*bytes); !same) {
    return same.error().with_context(std::string{path});
  }
  return Found{std::move(*bytes)};
}

Result<void> SecurityDocuments::stage(std::string_view path,
                                      std::string_view document,
                                      std::string_view type,
                                      std::int64_t version) {
  const tuf::RoleName role{options_.role};
  const Digest digest = Digest::of(document);
  const std::filesystem::path file = document_file(options_.folder, digest);
  if (auto made = invocation_.fs.create_directories(file.parent_path(), 0755); !made) {
    return made;
  }
  if (auto written = write_file_atomic(invocation_.fs, file, document, 0644); !written) {
    return written;
  }
  tuf::TargetFile target;
  target.length = document.size();
  target.hashes["sha256"] = digest.hex();
  target.custom = Json{Json::Object{{"type", type}, {"version", version}}};
  const WallTime now = invocation_.clock.wall_now();
  if (auto added = repository_->add_target(path, target, {}, now, role); !added) {
    return added;
  }
  invocation_.console.line(fmt::format("staged {} version {}", path, version));
  if (!options_.keys.empty()) {
    const auto roles = repository_->staged_roles();
    if (!roles) {
      return roles.error();
    }
    const auto lines = sign_staged(invocation_.fs, *repository_, *roles, options_.keys);
    if (!lines) {
      return lines.error();
    }
    for (const std::string& line : *lines) {
      invocation_.console.note(line);
    }
  }
  if (options_.online_key.empty()) {
    invocation_.console.note("next: skerry repo sign, then skerry fleet publish " +
                             options_.folder + " (or skerry repo publish)");
    return {};
  }
  const auto signer = load_signer(invocation_.fs, options_.online_key);
  if (!signer) {
    return signer.error();
  }
  if (auto published = repository_->publish(**signer, **signer, {}, now); !published) {
    return published;
  }
  invocation_.console.line("published in " + options_.folder);
  return {};
}

Result<std::vector<DocumentBlob>> list_documents(const tuf::Repository& repository) {
  const auto delegations = repository.delegations();
  if (!delegations) {
    return delegations.error();
  }
  std::vector<tuf::RoleName> roles{tuf::Role::kTargets};
  for (const auto& role : delegations->roles) {
    roles.emplace_back(role.name);
  }
  std::vector<DocumentBlob> documents;
  for (const tuf::RoleName& role : roles) {
    const auto targets = list_of(repository, role);
    if (!targets) {
      return targets.error();
    }
    for (const auto& [path, target] : targets->targets) {
      const auto digest = target.sha256();
      if (path.starts_with(kDocumentPrefix) && digest) {
        documents.push_back({path, *digest, target.length});
      }
    }
  }
  return documents;
}

}  // namespace skerry::cli
