//! Writes the report of a run: `report RUN FILE`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(run), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("name a run folder and a file".into());
    };
    let started = std::time::Instant::now();
    let report = autoloss_report::Report::read(run.as_ref(), &autoloss_report::Options::default())?;
    println!("read in {:.2} s", started.elapsed().as_secs_f64());
    report.write(file.as_ref())?;
    println!("written after {:.2} s", started.elapsed().as_secs_f64());
    Ok(())
}
