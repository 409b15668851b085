"""What child processes find when they `import ray`: it puts shoal in its place."""

from shoal import as_ray

as_ray.install()
