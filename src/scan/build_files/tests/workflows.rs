//! Tests of GitHub workflows.

use super::check;

#[test]
fn a_build_action_is_read() {
    check(
        &[
            (
                ".github/workflows/ci.yml",
                r"
on: push
env:
  REGISTRY: ghcr.io
jobs:
  build:
    env: {NAME: '${{ env.REGISTRY }}/acme'}
    steps:
      - id: meta
        uses: docker/metadata-action@v5
        with:
          images: |
            name=${{ env.NAME }}/meta
      - uses: docker/build-push-action@v6
        with:
          context: ./web
          file: web/ci.Dockerfile
          target: run
          platforms: linux/amd64,linux/arm64
          build-args: |
            A=1
            B=${{ github.sha }}
          build-contexts: base=docker-image://debian
          tags: |
            ${{ env.NAME }}/web:${{ github.ref_name }}
            ${{ steps.meta.outputs.tags }}
      - uses: docker/build-push-action@v6
        with: {context: '{{defaultContext}}:web', tags: 'a, b'}
      - uses: docker/build-push-action@v6
",
            ),
            ("web/Dockerfile", ""),
            ("web/ci.Dockerfile", ""),
            ("Dockerfile", ""),
        ],
        &[
            ".github/workflows/ci.yml:14 web/ci.Dockerfile in web target=run A=1 -t ghcr.io/acme/web:… \
             -t ghcr.io/acme/meta:… base:=docker-image://debian @linux/amd64 @linux/arm64",
            ".github/workflows/ci.yml:27 web/Dockerfile in web -t a -t b",
            ".github/workflows/ci.yml:29 Dockerfile in .",
        ],
    );
}

#[test]
fn a_matrix_is_expanded() {
    check(
        &[
            (
                ".github/workflows/ci.yml",
                r#"
jobs:
  a:
    strategy:
      matrix:
        image: [{name: a, dir: x}, {name: b, dir: y}]
        v: ${{ fromJSON('["1", "2"]') }}
        exclude: [{image: {name: a, dir: x}, v: 2}]
        include: [{v: 2, extra: e}, {image: {name: c, dir: x}, v: 3}]
    steps:
      - uses: docker/build-push-action@v6
        with:
          context: ${{ matrix.image.dir }}
          tags: ${{ matrix.image.name }}:${{ matrix.v }}${{ matrix.extra || '-none' }}
  computed:
    strategy: {matrix: {include: '${{ fromJSON(needs.x.outputs.y) }}'}}
    steps:
      - run: docker build -t c:${{ matrix.tag }} x
"#,
            ),
            ("x/Dockerfile", ""),
            ("y/Dockerfile", ""),
        ],
        &[
            ".github/workflows/ci.yml:11 x/Dockerfile in x -t a:1-none",
            ".github/workflows/ci.yml:11 y/Dockerfile in y -t b:1-none",
            ".github/workflows/ci.yml:11 y/Dockerfile in y -t b:2e",
            ".github/workflows/ci.yml:11 x/Dockerfile in x -t c:3-none",
            ".github/workflows/ci.yml:18 x/Dockerfile in x -t c:…",
        ],
    );
}

#[test]
fn commands_and_calls_are_read() {
    check(
        &[
            (
                ".github/workflows/ci.yml",
                r"
jobs:
  run:
    defaults: {run: {working-directory: images}}
    steps:
      - env: {TAG: v1}
        run: |
          echo start
          docker build -t a:$TAG a
      - working-directory: images/a
        run: docker build -t here .
      - uses: ./.github/actions/build
        with: {image: a}
  call:
    strategy: {matrix: {image: [a, b]}}
    uses: ./.github/workflows/reusable.yml
    with: {image: '${{ matrix.image }}'}
",
            ),
            (
                ".github/workflows/reusable.yml",
                r"
on:
  workflow_call:
    inputs: {image: {type: string}, tag: {default: latest}}
jobs:
  build:
    steps:
      - run: docker build -t r/${{ inputs.image }}:${{ inputs.tag }} images/${{ inputs.image }}
",
            ),
            (
                ".github/actions/build/action.yml",
                r"
inputs: {image: {required: true}}
runs:
  using: composite
  steps:
    - run: docker build -t act/${{ inputs.image }} images/a
",
            ),
            ("images/a/Dockerfile", ""),
            ("images/b/Dockerfile", ""),
        ],
        &[
            ".github/actions/build/action.yml:6 images/a/Dockerfile in images/a -t act/…",
            ".github/actions/build/action.yml:6 images/a/Dockerfile in images/a -t act/a",
            ".github/workflows/ci.yml:9 images/a/Dockerfile in images/a -t a:v1",
            ".github/workflows/ci.yml:11 images/a/Dockerfile in images/a -t here",
            ".github/workflows/reusable.yml:8 images/a/Dockerfile in images/a -t r/a:latest",
            ".github/workflows/reusable.yml:8 images/b/Dockerfile in images/b -t r/b:latest",
        ],
    );
}

#[test]
fn large_matrices_are_reported() {
    let axis = format!("[{}]", "1,".repeat(100));
    check(
        &[(
            ".github/workflows/ci.yml",
            &format!(
                "jobs:\n  a:\n    strategy: {{matrix: {{a: {axis}, b: {axis}, c: {axis}}}}}\n"
            ),
        )],
        &["! .github/workflows/ci.yml:2: the job is not read: its matrix is too large"],
    );
    check(
        &[(
            ".github/workflows/ci.yml",
            "jobs:\n  a:\n    uses: ./.github/workflows/ci.yml\n    with: {x: 1}\n    strategy: {matrix: {a: [1, 2]}}\n",
        )],
        &[],
    );
}
