// skerry model export MODEL --to oci:FOLDER[:NAME]: a model of this gateway's registry as an OCI
// image layout, in the ModelPack shape that registries and their tools copy.

#include <filesystem>

#include <fmt/format.h>

#include "skerry/registry/manifest.hpp"
#include "skerry/registry/oci_layout.hpp"

#include "commands.hpp"
#include "imports.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"

namespace skerry::cli {
namespace {

namespace stdfs = std::filesystem;

struct ModelExportOptions {
  std::string model;
  std::string to;
};

struct ExportTarget {
  std::string folder;
  std::string tag;
};

// "oci:FOLDER[:NAME]", as skopeo writes it.
Result<ExportTarget> parse_export_target(const std::string& text) {
  constexpr std::string_view kScheme = "oci:";
  if (!std::string_view{text}.starts_with(kScheme) || text.size() == kScheme.size()) {
    return Error{Error::Code::kInvalidArgument,
                 "--to " + text + ": write oci:FOLDER or oci:FOLDER:NAME"};
  }
  const std::string rest = text.substr(kScheme.size());
  const std::size_t colon = rest.find(':');
  ExportTarget target;
  target.folder = rest.substr(0, colon);
  if (colon != std::string::npos) {
    target.tag = rest.substr(colon + 1);
  }
  if (target.folder.empty() || (colon != std::string::npos && target.tag.empty())) {
    return Error{Error::Code::kInvalidArgument,
                 "--to " + text + ": write oci:FOLDER or oci:FOLDER:NAME"};
  }
  return target;
}

// Streams one blob of the model into a file of the layout's folder; the writer moves it to its
// place and hashes it there.
Result<void> fetch_blob(Invocation& invocation,
                        const imports::ReadBlobRequest& request,
                        const stdfs::path& to,
                        const std::function<void(std::uint64_t)>& got) {
  auto file = invocation.fs.open(to, OpenMode::kCreate, 0644);
  if (!file) {
    return file.error();
  }
  if (auto emptied = (*file)->truncate(0); !emptied) {
    return emptied;
  }
  std::uint64_t at = 0;
  auto done = read_blob(invocation, request, [&](const std::string& piece) -> Result<void> {
    auto written = (*file)->write_at(at, as_bytes(piece));
    at += piece.size();
    got(piece.size());
    return written;
  });
  return done ? (*file)->sync() : done;
}

// The ModelPack config lies inside the manifest; tools that copy want it as a blob too.
Result<void> put_config(registry::OciLayoutWriter& layout, std::string_view manifest) {
  const auto parsed = registry::parse_oci_manifest(manifest);
  if (!parsed) {
    return parsed.error();
  }
  if (!parsed->config.data) {
    return Error{Error::Code::kManifestInvalid, "the manifest holds no config"};
  }
  const auto added = layout.add(parsed->config.media_type, *parsed->config.data);
  return added ? Result<void>{} : added.error();
}

// Fetches every file of the model into the layout; the bytes in all.
Result<std::uint64_t> fetch_files(Invocation& invocation,
                                  const registry::Manifest& manifest,
                                  const std::string& digest,
                                  const stdfs::path& folder,
                                  registry::OciLayoutWriter& layout) {
  std::uint64_t total = 0;
  for (const registry::ManifestFile& file : manifest.all_files()) {
    total += file.size;
  }
  std::uint64_t done = 0;
  const stdfs::path fetched = folder / "blobs" / ".part-fetched";
  for (const registry::ManifestFile& file : manifest.all_files()) {
    imports::ReadBlobRequest request;
    request.set_model(digest);
    request.set_digest(file.digest.to_string());
    auto copied = fetch_blob(invocation, request, fetched, [&](std::uint64_t bytes) {
      done += bytes;
      invocation.console.progress("exporting", done, total);
    });
    if (!copied) {
      return copied.error().with_context(file.name);
    }
    if (auto added = layout.add_file("application/octet-stream", fetched, file.digest); !added) {
      return added.error().with_context(file.name);
    }
  }
  if (invocation.fs.exists(fetched)) {
    if (auto removed = invocation.fs.remove(fetched); !removed) {
      return removed.error();
    }
  }
  return total;
}

Result<int> run_model_export(Invocation& invocation, const ModelExportOptions& options) {
  const auto target = parse_export_target(options.to);
  if (!target) {
    return target.error();
  }
  imports::GetManifestRequest wanted;
  wanted.set_model(registry_reference(options.model));
  const auto found = call_imports(invocation, wanted);
  if (!found) {
    return found.error();
  }
  const auto manifest = registry::Manifest::parse(found->manifest());
  if (!manifest) {
    return manifest.error();
  }
  // Moved, not copied: the fetched file is of no other use.
  auto layout = registry::OciLayoutWriter::create(
      invocation.fs,
      target->folder,
      [&invocation](const stdfs::path& from, const stdfs::path& to) -> Result<bool> {
        auto moved = invocation.fs.rename(from, to);
        return moved ? Result<bool>{true} : moved.error();
      });
  if (!layout) {
    return layout.error();
  }
  const std::string digest = Digest::of(found->manifest()).to_string();
  const auto total = fetch_files(invocation, *manifest, digest, target->folder, *layout);
  invocation.console.finish_progress();
  if (!total) {
    return total.error();
  }
  if (auto config = put_config(*layout, found->manifest()); !config) {
    return config.error();
  }
  auto descriptor = layout->add(std::string{registry::kOciManifestType}, found->manifest());
  if (!descriptor) {
    return descriptor.error();
  }
  descriptor->artifact_type = std::string{registry::kManifestArtifactType};
  const std::string tag = target->tag.empty() ? manifest->version.to_string() : target->tag;
  layout->list(*std::move(descriptor), tag);
  if (auto finished = layout->finish(); !finished) {
    return finished.error();
  }
  if (invocation.json) {
    invocation.console.print_json(Json{Json::Object{
        {"layout", target->folder}, {"tag", tag}, {"manifest_digest", digest}, {"bytes", *total}}});
  } else {
    invocation.console.line(fmt::format("{}:{} is {} in {} ({})",
                                        manifest->model.to_string(),
                                        manifest->version.to_string(),
                                        tag,
                                        target->folder,
                                        digest));
  }
  return kExitDone;
}

}  // namespace

void add_model_export(Command& model, Invocation& invocation) {
  Command* command = model.add_subcommand(
      "export",
      "a model of the registry as an OCI image layout (ModelPack), for skopeo and others");
  const auto options = add_action<ModelExportOptions>(command, invocation, run_model_export);
  command->add_option("model", options->model, "local/name[:version], name alone, or the digest")
      ->required();
  command->add_option("--to", options->to, "oci:FOLDER[:NAME]; NAME is the version if left out")
      ->required();
}

}  // namespace skerry::cli
